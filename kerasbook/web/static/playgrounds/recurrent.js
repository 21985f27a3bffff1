// The reader of chapter 4 in JavaScript: words, a GRU, two dense layers, one logit.
globalThis.kerasbook ??= {};

kerasbook.recurrent = (() => {
  // The words of a text in lower case, as kerasbook.data.text.split_words finds them.
  const WORD = /[\p{L}\p{N}]+(?:'[\p{L}\p{N}]+)*|[!?]/gu;
  const splitWords = (text) =>
    text.toLowerCase().replaceAll("’", "'").replaceAll("''", '"').match(WORD) ?? [];

  // Returns the numbers of the first 40 words; 1 is every unknown word.
  function encode(text, vocabulary) {
    return splitWords(text).slice(0, 40).map((word) => vocabulary.get(word) ?? 1);
  }

  const makeVocabulary = (words) => new Map(words.split(" ").map((word, at) => [word, at + 2]));

  const sigmoid = (s) => 1 / (1 + Math.exp(-s));

  function product(x, kernel, bias) {
    const sums = Float64Array.from(bias);
    for (let i = 0; i < x.length; i++) {
      for (let j = 0; j < sums.length; j++) sums[j] += x[i] * kernel[i * sums.length + j];
    }
    return sums;
  }

  // One step of the GRU: kernels and biases in thirds for z, r and the candidate, as in Keras, the
  // reset behind the product with the state. Returns the gates, the candidate and the new state.
  function step(x, state, { kernel, recurrent, bias }) {
    const units = state.length;
    const ofWord = product(x, kernel, bias.subarray(0, 3 * units));
    const ofState = product(state, recurrent, bias.subarray(3 * units));
    const z = state.map((_, u) => sigmoid(ofWord[u] + ofState[u]));
    const r = state.map((_, u) => sigmoid(ofWord[units + u] + ofState[units + u]));
    const candidate = state.map((_, u) => Math.tanh(ofWord[2 * units + u] + r[u] * ofState[2 * units + u]));
    const next = state.map((h, u) => z[u] * h + (1 - z[u]) * candidate[u]);
    return { z, r, candidate, state: next };
  }

  // Returns what two dense layers make of a state.
  function answer(state, weights) {
    const hidden = product(state, weights["gru/dense_0/kernel"], weights["gru/dense_0/bias"]).map((v) => Math.max(v, 0));
    const [logit] = product(hidden, weights["gru/dense_1/kernel"], weights["gru/dense_1/bias"]);
    return { hidden, logit, probability: sigmoid(logit) };
  }

  // Reads a row of word numbers. Returns {start, words}: the answer before the first word, and for
  // each word its gates, candidate, state, and the answer if the sentence ended there.
  function read(row, weights) {
    const gru = {
      kernel: weights["gru/gru/gru_cell/kernel"],
      recurrent: weights["gru/gru/gru_cell/recurrent_kernel"],
      bias: weights["gru/gru/gru_cell/bias"],
    };
    const table = weights["gru/embedding/embeddings"];
    const units = gru.recurrent.length ** 0.5 / 3 ** 0.5;
    const width = gru.kernel.length / (3 * units);
    let state = new Float64Array(units);
    const start = answer(state, weights);
    const words = row.map((number) => {
      const found = step(table.subarray(number * width, (number + 1) * width), state, gru);
      const change = Math.hypot(...found.state.map((v, u) => v - state[u]));
      state = found.state;
      return { number, change, ...found, ...answer(state, weights) };
    });
    return { start, words };
  }

  return { splitWords, encode, makeVocabulary, read };
})();
