// Losses of two parameters, each with its gradient. The first two are those of chapter 1's cars:
// a mean squared error is a parabola, so its curvatures and its lowest point are all there is to it.
globalThis.kerasbook ??= {};

kerasbook.parabola = (curvatures, goal, lowest) => ({
  loss([x, y]) {
    const [a, b] = [x - goal[0], y - goal[1]];
    const [[p, q], [r, s]] = curvatures;
    return lowest + 0.5 * (a * (p * a + q * b) + b * (r * a + s * b));
  },
  gradient([x, y]) {
    const [a, b] = [x - goal[0], y - goal[1]];
    return curvatures.map(([left, right]) => left * a + right * b);
  },
  largestCurvature() {
    const [[p, q], [, s]] = curvatures;
    return (p + s) / 2 + Math.hypot((p - s) / 2, q);
  },
  curvatures,
  goal,
  lowest,
});

kerasbook.surfaces = {
  round: {
    title: "a round valley: bias and slope of the cars' line",
    axes: ["bias (mpg)", "slope (mpg per std)"],
    range: [[-4, 44], [-22, 10]],
    start: [0, 0],
    ...kerasbook.parabola([[2, 0], [0, 2]], [22.76355932, -6.05499673], 22.334157271662075),
  },
  canyon: {
    title: "a canyon: the cars' weights of mass and power",
    axes: ["mass's w (mpg per 1000 lb)", "power's w (mpg per 10 hp)"],
    range: [[-9.5, 2.5], [-3, 2]],
    start: [0, 0],
    ...kerasbook.parabola(
      [[1.4850698, 5.73397529], [5.73397529, 30.57725654]],
      [-5.08057316, -0.59583546],
      17.045094217103866,
    ),
  },
  bend: {
    title: "a canyon with a bend (Rosenbrock's)",
    axes: ["first parameter", "second parameter"],
    range: [[-2, 2], [-1, 3]],
    start: [-1.5, 1.5],
    goal: [1, 1],
    lowest: 0,
    loss: ([x, y]) => (1 - x) ** 2 + 10 * (y - x * x) ** 2,
    gradient: ([x, y]) => [-2 * (1 - x) - 40 * x * (y - x * x), 20 * (y - x * x)],
  },
  saddle: {
    title: "a saddle between two valleys",
    axes: ["first parameter", "second parameter"],
    range: [[-2, 2], [-1.6, 1.6]],
    start: [0.01, 1.25],
    goal: [1, 0],
    lowest: 0,
    loss: ([x, y]) => (x * x - 1) ** 2 / 4 + (y * y) / 2,
    gradient: ([x, y]) => [x ** 3 - x, y],
  },
};

// The path of one ball: `steps` steps from `start`. Returns the places, the first one included.
kerasbook.roll = (surface, optimiser, start, steps, options) => {
  const { first, step } = kerasbook.optimisers[optimiser];
  const place = Float64Array.from(start);
  const memory = first(place.length);
  const path = [[...place]];
  for (let i = 0; i < steps; i++) {
    step(place, surface.gradient(place), memory, options);
    path.push([...place]);
  }
  return path;
};
