// Reads weights: base64 text of 16-bit floating-point numbers, as a file of the folder weights has it.
globalThis.kerasbook ??= {};

(() => {
  const kept = {};
  const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const VALUE = new Uint8Array(128);
  for (let i = 0; i < 64; i++) VALUE[LETTERS.charCodeAt(i)] = i;

  function bytesOf(text) {
    const size = (text.length / 4) * 3 - (text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0);
    const bytes = new Uint8Array(size);
    for (let from = 0, to = 0; from < text.length; from += 4) {
      const four = [0, 1, 2, 3].reduce((sum, i) => (sum << 6) | VALUE[text.charCodeAt(from + i)], 0);
      for (const shift of [16, 8, 0]) if (to < size) bytes[to++] = (four >> shift) & 255;
    }
    return bytes;
  }

  // A half has a sign bit, five bits of exponent, ten of fraction.
  function numberOf(half) {
    const [sign, exponent, fraction] = [half >> 15 ? -1 : 1, (half >> 10) & 31, half & 1023];
    if (exponent === 0) return sign * fraction * 2 ** -24;
    return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }

  function unpack({ shapes, numbers }) {
    const bytes = bytesOf(numbers);
    const weights = {};
    let at = 0;
    for (const [path, shape] of Object.entries(shapes)) {
      const values = new Float32Array(shape.reduce((size, n) => size * n, 1));
      for (let i = 0; i < values.length; i++, at++) values[i] = numberOf(bytes[2 * at] | (bytes[2 * at + 1] << 8));
      weights[path] = values;
    }
    return weights;
  }

  kerasbook.keep = (name, content) => (kept[name] = content);
  kerasbook.bytesOf = bytesOf;
  // Returns {weights: path → Float32Array, shapes, …}; what was unpacked once is kept.
  kerasbook.load = (name) => {
    const content = kept[name];
    if (content.numbers) Object.assign(content, { weights: unpack(content), numbers: "" });
    return content;
  };
})();
