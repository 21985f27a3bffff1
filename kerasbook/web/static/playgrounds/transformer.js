// The Transformer of chapter 6 in JavaScript: a stream of rows, one Float64Array for each token.
globalThis.kerasbook ??= {};

kerasbook.transformer = (() => {
  function dense(rows, kernel, bias) {
    return rows.map((x) => {
      const sums = Float64Array.from(bias);
      for (let i = 0; i < x.length; i++) {
        const value = x[i];
        if (value === 0) continue;
        for (let j = 0, from = i * sums.length; j < sums.length; j++) sums[j] += value * kernel[from + j];
      }
      return sums;
    });
  }

  const add = (rows, others) => rows.map((row, n) => row.map((v, i) => v + others[n][i]));

  function layerNorm(rows, gamma, beta, epsilon = 1e-6) {
    return rows.map((row) => {
      const mean = row.reduce((sum, v) => sum + v, 0) / row.length;
      const variance = row.reduce((sum, v) => sum + (v - mean) ** 2, 0) / row.length;
      return row.map((v, i) => (gamma[i] * (v - mean)) / Math.sqrt(variance + epsilon) + beta[i]);
    });
  }

  function softmax(z) {
    const largest = Math.max(...z);
    const powers = z.map((v) => Math.exp(v - largest));
    const sum = powers.reduce((total, v) => total + v, 0);
    return powers.map((v) => v / sum);
  }

  // The waves of a place: first the sines, then the cosines.
  function sinusoids(place, width) {
    return Float64Array.from({ length: width }, (_, i) => {
      const angle = place * 10000 ** (-2 * (i % (width / 2)) / width);
      return i < width / 2 ? Math.sin(angle) : Math.cos(angle);
    });
  }

  function embed(tokens, table, width) {
    return tokens.map((token, place) => {
      const waves = sinusoids(place, width);
      return waves.map((wave, i) => table[token * width + i] * Math.sqrt(width) + wave);
    });
  }

  // Each query takes a mixture of the values, head by head. mayLook(query, key) is the mask.
  // Returns the mixtures, and weights[head][query][key].
  function attend(queries, keys, values, heads, mayLook) {
    const depth = queries[0].length / heads;
    const mixtures = queries.map((row) => new Float64Array(row.length));
    const weights = Array.from({ length: heads }, (_, head) =>
      queries.map((query, q) => {
        const scores = Float64Array.from(keys, (key, k) => {
          if (!mayLook(q, k)) return -3.4e38; // the lowest number of float32, not minus infinity
          let score = 0;
          for (let d = head * depth; d < (head + 1) * depth; d++) score += query[d] * key[d];
          return score / Math.sqrt(depth);
        });
        const shares = softmax(scores);
        shares.forEach((share, k) => {
          for (let d = head * depth; d < (head + 1) * depth; d++) mixtures[q][d] += share * values[k][d];
        });
        return shares;
      }),
    );
    return { mixtures, weights };
  }

  // The parts of a stack find their weights by name: part(rows, "block_0/norm_1").
  function makeParts(weights, prefix, heads) {
    const named = (name, kind) => weights[`${prefix}/${name}/${kind}`];
    const parts = {
      norm: (rows, name) => layerNorm(rows, named(name, "gamma"), named(name, "beta")),
      dense: (rows, name) => dense(rows, named(name, "kernel"), named(name, "bias")),
      embed: (tokens) => {
        const width = named("norm", "gamma").length;
        return embed(tokens, weights[`${prefix}/embedding/table/embeddings`], width);
      },
    };
    parts.attention = (rows, memory, name, mayLook) => {
      const [query, key, value] = [[rows, "query"], [memory, "key"], [memory, "value"]].map(([x, part]) =>
        parts.dense(x, `${name}/${part}`),
      );
      const { mixtures, weights: shares } = attend(query, key, value, heads, mayLook);
      return { out: parts.dense(mixtures, `${name}/projection`), weights: shares };
    };
    return parts;
  }

  // One block: tokens look at each other, with a memory at that too, then each thinks by itself.
  function block(parts, name, rows, { mayLook, memory = null, memoryMayLook = () => true }) {
    const normed = parts.norm(rows, `${name}/norm_1`);
    const own = parts.attention(normed, normed, `${name}/attention`, mayLook);
    let x = add(rows, own.out);
    const found = { attention: own.weights };
    if (memory) {
      const across = parts.attention(parts.norm(x, `${name}/norm_across`), memory, `${name}/cross_attention`, memoryMayLook);
      x = add(x, across.out);
      found.cross = across.weights;
    }
    const wide = parts.dense(parts.norm(x, `${name}/norm_2`), `${name}/feed_forward/dense_0`);
    const thought = parts.dense(wide.map((row) => row.map((v) => Math.max(v, 0))), `${name}/feed_forward/dense_1`);
    return { ...found, out: add(x, thought) };
  }

  // An embedding, two blocks, a last norm. Returns all that was computed on the way.
  function stack(weights, prefix, tokens, heads, looking) {
    const parts = makeParts(weights, prefix, heads);
    const embedded = parts.embed(tokens);
    const blocks = [];
    for (let n = 0, rows = embedded; `${prefix}/block_${n}/norm_1/gamma` in weights; n++) {
      blocks.push(block(parts, `block_${n}`, rows, looking));
      rows = blocks[n].out;
    }
    return { embedded, blocks, out: parts.norm(blocks.at(-1).out, "norm") };
  }

  const looksBack = (query, key) => key <= query;
  const looksAnywhere = () => true;
  const logitsOf = (weights, rows) => dense(rows, weights["logits/kernel"], weights["logits/bias"]);

  // --- the writer ---------------------------------------------------------------------------

  // Returns the numbers of a text's characters; 0 stands for those that the plays do not have.
  function encodeText(text, characters) {
    const numbers = new Map(Array.from(characters, (character, n) => [character, n + 1]));
    return Array.from(text, (character) => numbers.get(character) ?? 0);
  }

  // Returns everything on the way from characters (numbers) to the logits of the next ones.
  function write(weights, tokens, heads) {
    const found = stack(weights, "stack", tokens, heads, { mayLook: looksBack });
    return { ...found, logits: logitsOf(weights, found.out) };
  }

  // Returns the logits with −∞ for all but the k largest; of equal ones the first is kept.
  function keepTopK(logits, k) {
    const order = Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a] || a - b);
    const kept = new Set(order.slice(0, k));
    return logits.map((v, n) => (kept.has(n) ? v : -Infinity));
  }

  // Returns the logits with −∞ for all but the fewest with probability p in sum.
  function keepTopP(logits, p) {
    const shares = softmax(logits);
    const order = Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a] || a - b);
    const kept = new Set();
    let before = 0;
    for (const n of order) {
      if (before >= p && kept.size) break;
      kept.add(n);
      before += shares[n];
    }
    return logits.map((v, n) => (kept.has(n) ? v : -Infinity));
  }

  // Returns the probabilities that one samples from; a temperature of 0 takes the likeliest.
  function choices(logits, { temperature = 1, topK = 0, topP = 1 }) {
    if (temperature === 0) return keepTopK(logits, 1).map((v) => (v === -Infinity ? 0 : 1));
    let kept = logits.map((v) => v / temperature);
    if (topK) kept = keepTopK(kept, topK);
    if (topP < 1) kept = keepTopP(kept, topP);
    return softmax(kept);
  }

  // Returns a number drawn by its probability, for a random number from 0 to 1.
  function draw(probabilities, random) {
    let left = random;
    for (let n = 0; n < probabilities.length; n++) {
      left -= probabilities[n];
      if (left < 0 && probabilities[n] > 0) return n;
    }
    return probabilities.indexOf(Math.max(...probabilities));
  }

  // --- the speaker --------------------------------------------------------------------------

  const [PAD, START, END] = [0, 1, 2];
  const LONGEST = 16;

  // Returns the numbers of a word's letters. Throws an Error with one line for what is no word.
  function encodeLetters(word) {
    if (!/^[a-z]{2,14}$/i.test(word)) throw new Error("It reads words of 2 to 14 letters from a to z.");
    return Array.from(word.toLowerCase(), (letter) => letter.charCodeAt(0) - 96);
  }

  const readLetters = (weights, letters, heads) => stack(weights, "encoder", letters, heads, { mayLook: looksAnywhere });

  // Returns everything on the way from the sounds so far to the logits of the next ones.
  function say(weights, memory, before, heads) {
    const found = stack(weights, "decoder", before, heads, { mayLook: looksBack, memory });
    return { ...found, logits: logitsOf(weights, found.out) };
  }

  // The likeliest sound at every step, until the end is said.
  function greedy(weights, memory, heads) {
    const said = [];
    while (said.length < LONGEST && said.at(-1) !== END) {
      const logits = say(weights, memory, [START, ...said], heads).logits.at(-1);
      said.push(logits.indexOf(Math.max(...logits)));
    }
    return said;
  }

  function logSoftmax(z) {
    const largest = Math.max(...z);
    const sum = z.reduce((total, v) => total + Math.exp(v - largest), 0);
    return z.map((v) => v - largest - Math.log(sum));
  }

  // Keeps the `beams` best beginnings at every step. Returns them, the best first: {said, score}.
  function beamSearch(weights, memory, heads, beams = 4) {
    let best = [{ said: [], score: 0 }];
    for (let step = 0; step < LONGEST; step++) {
      const longer = best.flatMap((one) => {
        if (one.said.at(-1) === END) return [one];
        const logs = logSoftmax(say(weights, memory, [START, ...one.said], heads).logits.at(-1));
        return Array.from(logs, (log, sound) => ({ said: [...one.said, sound], score: one.score + log }));
      });
      best = longer.sort((a, b) => b.score - a.score).slice(0, beams);
      if (best.every((one) => one.said.at(-1) === END)) break;
    }
    return best;
  }

  return { softmax, layerNorm, encodeText, write, choices, draw, keepTopK, keepTopP, encodeLetters, readLetters, say, greedy, beamSearch, PAD, START, END };
})();
