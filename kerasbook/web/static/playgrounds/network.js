// The deep network of chapter 2 in JavaScript: data, first weights, forward, backward, a step.
// A network is {layers, activation, bias, doubleSoftmax}; a layer {kernel, bias, inputs, units},
// where kernel[i * units + j] leads from input i to unit j, as in Keras.
globalThis.kerasbook ??= {};

kerasbook.network = (() => {
  // --- random numbers that can be repeated (mulberry32) -------------------------------------

  function makeRandom(seed) {
    let state = seed >>> 0;
    const uniform = () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
    };
    const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
    return { uniform, normal, below: (count) => Math.floor(uniform() * count) };
  }

  // --- data: points in the square from −3 to 3, and their classes -----------------------------

  const KINDS = {
    moons: (random, y) => {
      const angle = Math.PI * random.uniform();
      const [a, b] = [Math.cos(angle), Math.sin(angle)];
      return y ? [1.7 * (0.5 - a), 1.7 * (0.25 - b)] : [1.7 * (a - 0.5), 1.7 * (b - 0.25)];
    },
    rings: (random, y) => {
      const angle = 2 * Math.PI * random.uniform();
      const radius = y ? 2.1 : 0.9 * Math.sqrt(random.uniform());
      return [radius * Math.cos(angle), radius * Math.sin(angle)];
    },
    corners: (random, y) => {
      const [a, b] = [0.3 + 2 * random.uniform(), 0.3 + 2 * random.uniform()];
      const side = random.uniform() < 0.5 ? -1 : 1;
      return [side * a, (y ? -side : side) * b];
    },
    spirals: (random, y) => {
      const way = Math.sqrt(random.uniform());
      const angle = 3 * Math.PI * way + Math.PI * y;
      return [2.6 * way * Math.cos(angle), 2.6 * way * Math.sin(angle)];
    },
    three: (random, y) => {
      const angle = (2 * Math.PI * y) / 3 + Math.PI / 2;
      return [1.4 * Math.cos(angle) + 0.4 * random.normal(), 1.4 * Math.sin(angle) + 0.4 * random.normal()];
    },
  };

  function makePoints(kind, count, noise, seed) {
    const random = makeRandom(seed);
    const classes = kind === "three" ? 3 : 2;
    const y = Array.from({ length: count }, (_, i) => i % classes);
    const x = y.map((label) => KINDS[kind](random, label).map((v) => onGrid(v + noise * random.normal())));
    return { x, y };
  }

  // All points lie on a grid of 0.002, so that the address can hold them as they are.
  const inPlane = (v) => Math.min(3, Math.max(-3, v));
  const onGrid = (v) => Math.round(inPlane(v) * 500) / 500;

  // Returns {x, y, names, scaled} of a text whose lines have two numbers and a class.
  // Throws an Error with one clear line when it cannot.
  function readCsv(text, most = 500) {
    const lines = text.replace(/^\uFEFF/, "").split(/\r?\n/).map((line) => line.trim());
    const rows = [];
    lines.forEach((line, at) => {
      if (!line) return;
      const cells = line.split(/[,;\t]/).map((cell) => cell.trim().replace(/^"(.*)"$/, "$1"));
      const numbers = cells.slice(0, 2).map((cell) => (cell === "" ? NaN : Number(cell)));
      const isHead = rows.length === 0 && at === lines.findIndex(Boolean) && !numbers.every(Number.isFinite);
      if (isHead) return;
      if (cells.length < 3) throw new Error(`Line ${at + 1} has ${cells.length} cells: it needs two numbers and a class.`);
      if (!numbers.every(Number.isFinite)) throw new Error(`Line ${at + 1}: “${cells.slice(0, 2).join(", ")}” are no two numbers.`);
      rows.push([numbers, cells[2]]);
    });
    if (rows.length < 2) throw new Error("There are fewer than two points in it: a line is x, y, class.");
    const names = [...new Set(rows.map((row) => row[1]))].sort();
    if (names.length < 2) throw new Error("All points have one class: two or three are needed.");
    if (names.length > 3) throw new Error(`It has ${names.length} classes: two or three can be drawn.`);
    const kept = rows.slice(0, most);
    const { x, scaled } = fitted(kept.map((row) => row[0]));
    return { x, y: kept.map((row) => names.indexOf(row[1])), names, scaled, left: rows.length - kept.length };
  }

  // Returns points as they are if they lie in the square, else shifted and scaled into it.
  function fitted(points) {
    if (points.flat().every((v) => Math.abs(v) <= 3)) return { x: points.map((point) => point.map(onGrid)), scaled: null };
    const [shift, scale] = [[], []];
    for (const axis of [0, 1]) {
      const values = points.map((point) => point[axis]);
      shift[axis] = values.reduce((sum, v) => sum + v, 0) / values.length;
      scale[axis] = Math.max(...values.map((v) => Math.abs(v - shift[axis]))) / 2.8 || 1;
    }
    return { x: points.map((p) => p.map((v, axis) => onGrid((v - shift[axis]) / scale[axis]))), scaled: { shift, scale } };
  }

  // Points as a short text for the address: two letters for each coordinate, and the class.
  const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const twoLetters = (v) => {
    const place = Math.round((inPlane(v) + 3) * 500); // 0 to 3000
    return LETTERS[place >> 6] + LETTERS[place & 63];
  };

  function packPoints({ x, y }) {
    return x.map((point, i) => point.map(twoLetters).join("") + y[i]).join("");
  }

  function unpackPoints(text) {
    const points = { x: [], y: [] };
    for (const [, a, b, c, d, label] of text.matchAll(/([\w-])([\w-])([\w-])([\w-])([012])/g)) {
      const places = [a + b, c + d].map((two) => LETTERS.indexOf(two[0]) * 64 + LETTERS.indexOf(two[1]));
      points.x.push(places.map((place) => onGrid(place / 500 - 3)));
      points.y.push(Number(label));
    }
    return points;
  }

  // --- the network --------------------------------------------------------------------------

  const ACTIVATIONS = { // the function, and its slope as a function of its output
    tanh: { of: Math.tanh, slope: (out) => 1 - out * out },
    relu: { of: (s) => Math.max(s, 0), slope: (out) => (out > 0 ? 1 : 0) },
    sigmoid: { of: (s) => 1 / (1 + Math.exp(-s)), slope: (out) => out * (1 - out) },
    linear: { of: (s) => s, slope: () => 1 },
  };

  // Returns a network with He's first weights: normal, with a variance of 2 / inputs; or zeros.
  function makeNetwork(sizes, activation, { seed = 0, bias = true, zeroStart = false, doubleSoftmax = false } = {}) {
    const random = makeRandom(seed);
    const layers = sizes.slice(1).map((units, at) => {
      const inputs = sizes[at];
      const spread = zeroStart ? 0 : Math.sqrt(2 / inputs);
      const kernel = Float64Array.from({ length: inputs * units }, () => spread * random.normal());
      return { kernel, bias: new Float64Array(units), inputs, units };
    });
    return { layers, activation, bias, doubleSoftmax };
  }

  function dense({ kernel, bias, inputs, units }, x) {
    const sums = Float64Array.from(bias);
    for (let i = 0; i < inputs; i++) {
      for (let j = 0; j < units; j++) sums[j] += x[i] * kernel[i * units + j];
    }
    return sums;
  }

  // Returns the outputs of all layers for one point, the point first and the logits last.
  function forward({ layers, activation }, point) {
    const outputs = [point];
    layers.forEach((layer, at) => {
      const sums = dense(layer, outputs[at]);
      outputs.push(at < layers.length - 1 ? sums.map(ACTIVATIONS[activation].of) : sums);
    });
    return outputs;
  }

  function softmax(z) {
    const largest = Math.max(...z);
    const powers = z.map((v) => Math.exp(v - largest));
    const sum = powers.reduce((total, v) => total + v, 0);
    return powers.map((v) => v / sum);
  }

  const probabilities = (network, point) => softmax(forward(network, point).at(-1));

  // Returns the loss of one point's logits, and its gradient for them. With the mistake, a softmax
  // of a softmax is taken, and the gradient must come back through both.
  function lossOf(z, label, doubleSoftmax) {
    const once = softmax(z);
    const p = doubleSoftmax ? softmax(once) : once;
    const slope = p.map((v, k) => v - (k === label ? 1 : 0));
    if (!doubleSoftmax) return { loss: -Math.log(p[label]), slope };
    const mean = slope.reduce((total, v, k) => total + v * once[k], 0);
    return { loss: -Math.log(p[label]), slope: slope.map((v, k) => once[k] * (v - mean)) };
  }

  // Returns the mean loss of some points, and its gradients, shaped like the layers.
  function gradients(network, x, y) {
    const { layers, activation } = network;
    const found = layers.map(({ kernel, bias }) => ({
      kernel: new Float64Array(kernel.length), bias: new Float64Array(bias.length),
    }));
    let total = 0;
    x.forEach((point, n) => {
      const outputs = forward(network, point);
      let { loss, slope: delta } = lossOf(outputs.at(-1), y[n], network.doubleSoftmax);
      total += loss / x.length;
      for (let at = layers.length - 1; at >= 0; at--) {
        addTo(found[at], outputs[at], delta, x.length);
        if (at > 0) delta = back(layers[at], delta, outputs[at], ACTIVATIONS[activation].slope);
      }
    });
    if (!network.bias) for (const layer of found) layer.bias.fill(0);
    return { loss: total, layers: found };
  }

  function addTo({ kernel, bias }, input, delta, count) {
    for (let j = 0; j < delta.length; j++) {
      bias[j] += delta[j] / count;
      for (let i = 0; i < input.length; i++) kernel[i * delta.length + j] += (input[i] * delta[j]) / count;
    }
  }

  // Returns the gradient for the sums of the layer below.
  function back({ kernel, units }, delta, output, slope) {
    return output.map((out, i) => {
      let sum = 0;
      for (let j = 0; j < units; j++) sum += kernel[i * units + j] * delta[j];
      return sum * slope(out);
    });
  }

  // Returns {step, rows}: step() takes one step on random rows, and returns the batch's loss.
  function makeTrainer(network, points, { optimiser, rate, batch, seed, wrongSign = false, decays = {} }) {
    const random = makeRandom(seed + 1000);
    const { first, step } = kerasbook.optimisers[optimiser];
    const memories = network.layers.map(({ kernel, bias }) => [first(kernel.length), first(bias.length)]);
    const all = points.y.map((_, i) => i);
    const trainer = { rows: all, steps: 0 };
    trainer.step = () => {
      if (batch < all.length) trainer.rows = Array.from({ length: batch }, () => random.below(all.length));
      const [x, y] = [points.x, points.y].map((part) => trainer.rows.map((row) => part[row]));
      const { loss, layers } = gradients(network, x, y);
      network.layers.forEach(({ kernel, bias }, at) => {
        const way = wrongSign ? -1 : 1;
        step(kernel, layers[at].kernel.map((v) => way * v), memories[at][0], { rate, ...decays });
        step(bias, layers[at].bias.map((v) => way * v), memories[at][1], { rate, ...decays });
      });
      trainer.steps += 1;
      return loss;
    };
    return trainer;
  }

  // Returns the mean loss of points, and the share whose likeliest class is right.
  function score(network, { x, y }) {
    let [loss, right] = [0, 0];
    x.forEach((point, n) => {
      const z = forward(network, point).at(-1);
      loss += lossOf(z, y[n], network.doubleSoftmax).loss / x.length;
      right += z.indexOf(Math.max(...z)) === y[n] ? 1 : 0;
    });
    return { loss, right: right / x.length };
  }

  // Returns what `of` makes of every place of a grid in the square: row by row from the bottom left.
  function overPlane(side, of) {
    const found = [];
    for (let row = 0; row < side; row++) {
      for (let column = 0; column < side; column++) {
        found.push(of([(6 * column) / (side - 1) - 3, (6 * row) / (side - 1) - 3]));
      }
    }
    return found;
  }

  const surface = (network, side) => overPlane(side, (point) => probabilities(network, point));

  return {
    KINDS, onGrid, makeRandom, makePoints, readCsv, packPoints, unpackPoints, makeNetwork, forward, softmax,
    probabilities, gradients, makeTrainer, score, overPlane, surface,
  };
})();
