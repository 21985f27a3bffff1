// The convolutional network of chapter 3 in JavaScript, one picture at a time.
// A map is {height, width, channels, values}; values[(i * width + j) * channels + c], as in Keras.
globalThis.kerasbook ??= {};

kerasbook.convolution = (() => {
  const at = (map, i, j, c) => map.values[(i * map.width + j) * map.channels + c];
  const emptyMap = (height, width, channels) => ({
    height, width, channels, values: new Float64Array(height * width * channels),
  });

  // 3 × 3 windows, a frame of zeros ("same"), relu. kernel[((u * 3 + v) * channels + c) * filters + f].
  function convolve(x, kernel, bias) {
    const filters = bias.length;
    const z = emptyMap(x.height, x.width, filters);
    for (let i = 0; i < x.height; i++) {
      for (let j = 0; j < x.width; j++) {
        const sums = z.values.subarray((i * x.width + j) * filters, (i * x.width + j + 1) * filters);
        sums.set(bias);
        for (let u = 0; u < 3; u++) {
          for (let v = 0; v < 3; v++) addPlace(sums, x, i + u - 1, j + v - 1, kernel, 3 * u + v);
        }
        for (let f = 0; f < filters; f++) sums[f] = Math.max(sums[f], 0);
      }
    }
    return z;
  }

  function addPlace(sums, x, i, j, kernel, place) {
    if (i < 0 || j < 0 || i >= x.height || j >= x.width) return; // the frame of zeros
    for (let c = 0; c < x.channels; c++) {
      const value = at(x, i, j, c);
      if (value === 0) continue;
      const first = (place * x.channels + c) * sums.length;
      for (let f = 0; f < sums.length; f++) sums[f] += value * kernel[first + f];
    }
  }

  // The largest of every 2 × 2 window.
  function maxPool(x) {
    const z = emptyMap(Math.floor(x.height / 2), Math.floor(x.width / 2), x.channels);
    for (let i = 0; i < z.height; i++) {
      for (let j = 0; j < z.width; j++) {
        for (let c = 0; c < z.channels; c++) {
          const four = [[0, 0], [0, 1], [1, 0], [1, 1]].map(([u, v]) => at(x, 2 * i + u, 2 * j + v, c));
          z.values[(i * z.width + j) * z.channels + c] = Math.max(...four);
        }
      }
    }
    return z;
  }

  function dense(x, kernel, bias) {
    const sums = Float64Array.from(bias);
    for (let i = 0; i < x.length; i++) {
      if (x[i] === 0) continue;
      for (let j = 0; j < sums.length; j++) sums[j] += x[i] * kernel[i * sums.length + j];
    }
    return sums;
  }

  function softmax(z) {
    const largest = Math.max(...z);
    const powers = z.map((v) => Math.exp(v - largest));
    const sum = powers.reduce((total, v) => total + v, 0);
    return powers.map((v) => v / sum);
  }

  // Returns a picture of 784 pixels, 0 to 255, as the network takes it.
  function standardise(pixels, mean, std) {
    return { height: 28, width: 28, channels: 1, values: Float64Array.from(pixels, (v) => (v - mean) / std) };
  }

  const weight = (weights, layer, kind) => weights[`convolutional_network/${layer}/${kind}`];
  const both = (weights, layer) => [weight(weights, layer, "kernel"), weight(weights, layer, "bias")];

  // Returns what every layer makes of a picture.
  function forward(weights, picture) {
    const conv_1 = convolve(picture, ...both(weights, "conv_1"));
    const pool_1 = maxPool(conv_1);
    const conv_2 = convolve(pool_1, ...both(weights, "conv_2"));
    const pool_2 = maxPool(conv_2);
    const conv_3 = convolve(pool_2, ...both(weights, "conv_3"));
    const hidden = dense(conv_3.values, ...both(weights, "dense_0")).map((v) => Math.max(v, 0));
    const logits = dense(hidden, ...both(weights, "dense_1"));
    return { picture, conv_1, pool_1, conv_2, pool_2, conv_3, hidden, logits, probabilities: softmax(logits) };
  }

  // How one number of a convolution comes about: for each input channel its window, its kernel and
  // their sum; then the sum of all with the bias, and what relu leaves of it.
  function explain(weights, layer, input, i, j, filter) {
    const [kernel, bias] = both(weights, layer);
    const channels = [];
    let total = bias[filter];
    for (let c = 0; c < input.channels; c++) {
      const [window, weightsHere] = [[], []];
      for (const [u, v] of NINE) {
        const inside = i + u >= 0 && j + v >= 0 && i + u < input.height && j + v < input.width;
        window.push(inside ? at(input, i + u, j + v, c) : 0);
        weightsHere.push(kernel[((3 * (u + 1) + v + 1) * input.channels + c) * bias.length + filter]);
      }
      const sum = window.reduce((s, value, n) => s + value * weightsHere[n], 0);
      total += sum;
      channels.push({ window, kernel: weightsHere, sum });
    }
    return { channels, bias: bias[filter], total, value: Math.max(total, 0) };
  }
  const NINE = [-1, 0, 1].flatMap((u) => [-1, 0, 1].map((v) => [u, v]));

  // How one number of the dense layer comes about: what each place of the last maps adds to it.
  function explainDense(weights, { conv_3 }, unit) {
    const [kernel, bias] = both(weights, "dense_0");
    const places = new Float64Array(conv_3.height * conv_3.width);
    conv_3.values.forEach((value, n) => {
      places[Math.floor(n / conv_3.channels)] += value * kernel[n * bias.length + unit];
    });
    const total = places.reduce((sum, v) => sum + v, bias[unit]);
    return { places, bias: bias[unit], total, value: Math.max(total, 0) };
  }

  // How one logit comes about: what each unit of the dense layer adds to it.
  function explainLogit(weights, { hidden }, answer) {
    const [kernel, bias] = both(weights, "dense_1");
    const parts = Array.from(hidden, (value, unit) => {
      const w = kernel[unit * bias.length + answer];
      return { unit, value, weight: w, product: value * w };
    });
    const total = parts.reduce((sum, { product }) => sum + product, bias[answer]);
    return { parts, bias: bias[answer], total };
  }

  // Grad-CAM: how much each place of the last maps speaks for an answer, (7, 7) in rows.
  function whereItLooks(weights, { conv_3, hidden, logits }, answer = logits.indexOf(Math.max(...logits))) {
    const [first, last] = [weight(weights, "dense_0", "kernel"), weight(weights, "dense_1", "kernel")];
    const back = hidden.map((v, j) => (v > 0 ? last[j * logits.length + answer] : 0));
    const places = conv_3.height * conv_3.width;
    const means = new Float64Array(conv_3.channels);
    for (let n = 0; n < conv_3.values.length; n++) {
      let slope = 0;
      for (let j = 0; j < back.length; j++) slope += first[n * back.length + j] * back[j];
      means[n % conv_3.channels] += slope / places;
    }
    return Float64Array.from({ length: places }, (_, p) => {
      let sum = 0;
      for (let c = 0; c < conv_3.channels; c++) sum += means[c] * conv_3.values[p * conv_3.channels + c];
      return Math.max(sum, 0);
    });
  }

  return { at, standardise, forward, explain, explainDense, explainLogit, whereItLooks };
})();
