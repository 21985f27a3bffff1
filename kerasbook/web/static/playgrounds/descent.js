// The page *Descent*: balls on a surface, one for each optimiser.
{
  const { optimisers, surfaces, colour } = kerasbook;
  const NAMES = Object.keys(optimisers);
  const STYLE = {
    SGD: ["one", []], momentum: ["two", [7, 3]], RMSProp: ["three", [2, 3]], Adam: ["four", [10, 3, 2, 3]],
  };
  const MOST = 1000; // steps
  const byId = (id) => document.getElementById(`descent-${id}`);
  const state = new kerasbook.State({
    surface: "canyon", rate: "-4.25", momentum: "0.8", SGD: "1", momentum_ball: "1", RMSProp: "0",
    Adam: "0", x: "", y: "", steps: "0",
  });
  const flag = (name) => (name === "momentum" ? "momentum_ball" : name);
  let balls = {}; // name → {place, memory, path, losses}

  const surface = () => surfaces[state.get("surface")] ?? surfaces.canyon;
  const rate = () => 2 ** state.number("rate");
  const isOn = (name) => state.get(flag(name)) === "1";
  const hasDiverged = (ball) => !(Math.hypot(...ball.place) < 1e6);

  function start() {
    if (state.get("x") === "" || state.get("y") === "") return surface().start;
    return [state.number("x"), state.number("y")];
  }

  function place() {
    for (const name of NAMES) {
      const at = Float64Array.from(start());
      const memory = optimisers[name].first(2);
      balls[name] = { place: at, memory, path: [[...at]], losses: [surface().loss(at)] };
    }
  }

  function step() {
    const options = { rate: rate(), momentum: state.number("momentum") };
    for (const name of NAMES) {
      const ball = balls[name];
      if (hasDiverged(ball)) continue;
      optimisers[name].step(ball.place, surface().gradient(ball.place), ball.memory, options);
      ball.path.push([...ball.place]);
      ball.losses.push(surface().loss(ball.place));
    }
  }

  const taken = () => Math.max(...NAMES.map((name) => balls[name].path.length - 1));

  function advance(count) {
    for (let i = 0; i < count && taken() < MOST; i++) step();
    state.set("steps", taken());
    show();
    return taken() < MOST && NAMES.some((name) => isOn(name) && !hasDiverged(balls[name]));
  }

  function again() {
    clock.stop();
    place();
    state.set("steps", 0);
    show();
  }

  // A change of a knob sends the balls from their start, as far as they had come.
  function anew() {
    const steps = taken();
    place();
    for (let i = 0; i < steps; i++) step();
    show();
  }

  // --- the map ------------------------------------------------------------------------------

  let ground = { key: "" }; // the coloured heights, kept between the steps

  function heights(width, height) {
    const key = [state.get("surface"), width, height, colour("low"), colour("high")].join();
    if (ground.key === key) return ground.canvas;
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d");
    const image = context.createImageData(width, height);
    const band = bands(width, height);
    const [low, high] = [kerasbook.rgb("low"), kerasbook.rgb("high")];
    for (let at = 0; at < width * height; at++) {
      const edge = band[at] !== band[at + 1] || band[at] !== band[at + width];
      const shade = kerasbook.between(low, high, Math.min(band[at] / 14, 1) * 0.85 + (edge ? 0.15 : 0));
      image.data.set([...shade, 255], 4 * at);
    }
    context.putImageData(image, 0, 0);
    ground = { key, canvas };
    return canvas;
  }

  // Returns for each pixel in which band its loss lies; the bands grow with the height.
  function bands(width, height) {
    const { range: [[left, right], [bottom, top]], loss, lowest } = surface();
    const band = new Uint8Array(width * height);
    const highest = Math.max(...[left, right].flatMap((x) => [bottom, top].map((y) => loss([x, y])))) - lowest;
    for (let at = 0; at < band.length; at++) {
      const x = left + ((at % width) / width) * (right - left);
      const y = top - (Math.floor(at / width) / height) * (top - bottom);
      band[at] = Math.min(14, 14 * ((loss([x, y]) - lowest) / highest) ** 0.4);
    }
    return band;
  }

  function toPixel([x, y], width, height) {
    const { range: [[left, right], [bottom, top]] } = surface();
    return [((x - left) / (right - left)) * width, ((top - y) / (top - bottom)) * height];
  }

  function drawMap(context, width, height) {
    context.imageSmoothingEnabled = false;
    context.drawImage(heights(context.canvas.width, context.canvas.height), 0, 0, width, height);
    drawAxes(context, width, height);
    drawStar(context, ...toPixel(surface().goal, width, height));
    if (state.get("surface") === "saddle") drawStar(context, ...toPixel([-1, 0], width, height));
    for (const name of NAMES.filter(isOn)) drawPath(context, name, width, height);
  }

  function drawAxes(context, width, height) {
    context.font = "12px sans-serif";
    context.fillStyle = colour("ink");
    context.textAlign = "right";
    context.fillText(`${surface().axes[0]} →`, width - 10, height - 10);
    context.textAlign = "left";
    context.fillText(`↑ ${surface().axes[1]}`, 10, 20);
  }

  function drawStar(context, x, y) {
    context.beginPath();
    for (let i = 0; i < 10; i++) {
      const [angle, radius] = [(i * Math.PI) / 5 - Math.PI / 2, i % 2 ? 4 : 10];
      context.lineTo(x + radius * Math.cos(angle), y + radius * Math.sin(angle));
    }
    context.closePath();
    context.fillStyle = colour("ink");
    context.fill();
  }

  function drawPath(context, name, width, height) {
    const [tone, dash] = STYLE[name];
    const path = balls[name].path.map((at) => toPixel(at, width, height).map((v) => Math.max(-1e4, Math.min(1e4, v))));
    context.strokeStyle = context.fillStyle = colour(tone);
    context.lineWidth = 2;
    context.setLineDash(dash);
    context.beginPath();
    path.forEach(([x, y]) => context.lineTo(x, y));
    context.stroke();
    context.setLineDash([]);
    for (const [x, y] of path.slice(-40)) context.fillRect(x - 2, y - 2, 4, 4);
    context.beginPath();
    context.arc(...path.at(-1), 7, 0, 7);
    context.fill();
    context.strokeStyle = colour("low");
    context.stroke();
  }

  // --- words and numbers ----------------------------------------------------------------------

  function row(name) {
    const { place: at, losses, path } = balls[name];
    const cells = [name, path.length - 1, kerasbook.short(losses.at(-1)), at.length ? [...at].map(kerasbook.short).join(", ") : ""];
    return `<tr data-name="${name}" data-loss="${losses.at(-1)}">${cells.map((cell, i) => (i ? `<td>${cell}</td>` : `<th scope="row">${cell}</th>`)).join("")}</tr>`;
  }

  function verdict(name) {
    const { losses, path } = balls[name];
    const { lowest } = surface();
    if (hasDiverged(balls[name])) return `${name} diverges: it was thrown out after ${path.length - 1} steps.`;
    const within = losses.findIndex((loss, i) => losses.slice(i).every((v) => v - lowest <= 0.01 * (lowest || 1)));
    if (within >= 0) return `${name} is down after ${within} steps.`;
    const stands = path.length > 1 && Math.hypot(...surface().gradient(path.at(-1))) < 1e-6;
    return stands ? `${name} stands still: there is hardly any gradient here, and yet this is not the lowest point.` : "";
  }

  function limit() {
    const largest = surface().largestCurvature?.();
    if (!largest) return "No parabola: its curvature changes from place to place, and so does the largest rate.";
    const [plain, rolling] = [2 / largest, (2 * (1 + state.number("momentum"))) / largest];
    return `The largest curvature is λ = ${kerasbook.short(largest)}. SGD diverges above 2/λ = ${kerasbook.short(plain)}, momentum β above 2(1 + β)/λ = ${kerasbook.short(rolling)}.`;
  }

  function describe() {
    const on = NAMES.filter(isOn).map((name) => `${name} after ${balls[name].path.length - 1} steps at ${[...balls[name].place].map(kerasbook.short).join(" and ")}, loss ${kerasbook.short(balls[name].losses.at(-1))}`);
    return `Map of the loss, ${surface().title}; darker is higher, a star marks the lowest point. ${on.join("; ")}.`;
  }

  // --- every learning rate at once --------------------------------------------------------------

  const RATES = Array.from({ length: 45 }, (_, i) => -10 + i / 4); // powers of two, as the slider has them
  const FAR = 100; // steps
  let swept = { key: "" };

  // Returns for each ball how far above the lowest loss it is after FAR steps, at each of the rates.
  function sweep() {
    const key = [state.get("surface"), state.get("momentum"), ...start()].join();
    if (swept.key === key) return swept;
    swept = { key };
    for (const name of NAMES) {
      swept[name] = RATES.map((power) => {
        const options = { rate: 2 ** power, momentum: state.number("momentum") };
        return surface().loss(kerasbook.roll(surface(), name, start(), FAR, options).at(-1)) - surface().lowest;
      });
    }
    return swept;
  }

  function describeRates() {
    return NAMES.filter(isOn).map((name) => {
      const values = sweep()[name];
      const best = values.indexOf(Math.min(...values.filter(Number.isFinite)));
      return `${name} comes lowest at η = ${kerasbook.short(2 ** RATES[best])}`;
    }).join(", ");
  }

  const toRate = (share) => Math.round(4 * (-10 + 11 * Math.min(1, Math.max(0, share)))) / 4;

  function drawRatesNow(context, width, height) {
    const [left, right, top, bottom] = [44, 8, 8, 34];
    const [low, high] = [-9, 3]; // powers of ten
    const x = (power) => left + ((power + 10) / 11) * (width - left - right);
    const y = (v) => top + ((high - Math.log10(Math.max(v, 10 ** low))) / (high - low)) * (height - top - bottom);
    context.font = "11px sans-serif";
    context.strokeStyle = colour("line");
    context.fillStyle = colour("faint");
    context.textAlign = "right";
    for (const power of [-9, -6, -3, 0, 3]) {
      context.beginPath();
      context.moveTo(left, y(10 ** power));
      context.lineTo(width - right, y(10 ** power));
      context.stroke();
      context.fillText(kerasbook.short(10 ** power), left - 5, y(10 ** power) + 4);
    }
    context.textAlign = "center";
    for (const power of width > 500 ? [-10, -8, -6, -4, -2, 0] : [-10, -7, -4, -1]) context.fillText(kerasbook.short(2 ** power), x(power), height - bottom + 15);
    context.textAlign = "right";
    context.fillText("learning rate η →", width - right, height - 4);
    context.strokeStyle = colour("ink");
    context.lineWidth = 1.5;
    context.strokeRect(x(state.number("rate")), top, 0, height - top - bottom);
    for (const name of NAMES.filter(isOn)) {
      context.strokeStyle = colour(STYLE[name][0]);
      context.setLineDash(STYLE[name][1]);
      context.lineWidth = 2;
      context.beginPath();
      sweep()[name].forEach((v, i) => context.lineTo(x(RATES[i]), v <= 10 ** high ? y(v) : top - 20));
      context.save();
      context.clip(frameOf(left, top, width - left - right, height - top - bottom));
      context.stroke();
      context.restore();
    }
    context.setLineDash([]);
  }

  const frameOf = (x, y, width, height) => {
    const path = new Path2D();
    path.rect(x, y, width, height);
    return path;
  };

  function show() {
    byId("rate-is").textContent = kerasbook.short(rate());
    byId("momentum-is").textContent = state.get("momentum");
    byId("rows").innerHTML = NAMES.filter(isOn).map(row).join("");
    byId("limit").textContent = limit();
    byId("says").textContent = NAMES.filter(isOn).map(verdict).join(" ");
    byId("map").setAttribute("aria-label", describe());
    byId("losses").setAttribute("aria-label", `Loss above the lowest, by steps. ${describe()}`);
    byId("rates").setAttribute("aria-label", `How far above the lowest loss after ${FAR} steps, at each learning rate: ${describeRates()}. The rate is now ${kerasbook.short(rate())}.`);
    drawNow();
    drawLosses();
    drawRates();
  }

  const drawNow = kerasbook.picture(byId("map"), drawMap);
  const drawLosses = kerasbook.picture(byId("losses"), (context, width, height) => {
    const above = (loss) => Math.max(loss - surface().lowest, 1e-9);
    const lines = NAMES.filter(isOn).map((name) => ({
      values: balls[name].losses.map(above), colour: colour(STYLE[name][0]), dash: STYLE[name][1],
    }));
    kerasbook.plotLosses(context, width, height, lines);
  });

  const drawRates = kerasbook.picture(byId("rates"), drawRatesNow);

  // --- hands and keys -------------------------------------------------------------------------

  const clock = kerasbook.clock(() => advance(1), 25, () => {
    byId("run").textContent = clock?.running ? "Pause" : "Run";
  });

  function begin(x, y) {
    const { range } = surface();
    const inside = [x, y].map((v, i) => Math.min(Math.max(v, range[i][0]), range[i][1]));
    state.set("x", inside[0].toPrecision(4));
    state.set("y", inside[1].toPrecision(4));
    again();
  }

  byId("map").addEventListener("click", (event) => {
    const { range: [[left, right], [bottom, top]] } = surface();
    const [a, b] = kerasbook.shareOf(byId("map"), event);
    begin(left + a * (right - left), top - b * (top - bottom));
  });
  byId("map").addEventListener("keydown", (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!way) return;
    event.preventDefault();
    const { range } = surface();
    begin(...start().map((v, i) => v + (way[i] * (range[i][1] - range[i][0])) / 40));
  });
  byId("rates").addEventListener("click", (event) => {
    const { width, left } = byId("rates").getBoundingClientRect();
    state.set("rate", toRate((event.clientX - left - 44) / (width - 52)));
    byId("rate").value = state.get("rate");
    anew();
  });
  byId("step").addEventListener("click", () => advance(1));
  byId("ten").addEventListener("click", () => advance(10));
  byId("run").addEventListener("click", () => (clock.running ? clock.stop() : clock.start()));
  byId("again").addEventListener("click", again);

  byId("surface").innerHTML = Object.entries(surfaces).map(([key, { title }]) => `<option value="${key}">${title}</option>`).join("");
  kerasbook.bind(state, "surface", byId("surface"), () => {
    state.set("x", "");
    state.set("y", "");
    again();
  });
  kerasbook.bind(state, "rate", byId("rate"), anew);
  kerasbook.bind(state, "momentum", byId("momentum"), anew);
  for (const name of NAMES) kerasbook.bind(state, flag(name), byId(flag(name)), show);
  kerasbook.onAddress(state);

  place();
  const before = Math.min(state.number("steps"), MOST);
  for (let i = 0; i < before; i++) step();
  show();
  kerasbook.beginAlone(() => advance(1), 40, 12);
}
