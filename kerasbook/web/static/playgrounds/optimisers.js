// The four optimisers of chapter 2, once more in JavaScript: chapter2_training.py has them in NumPy.
// `step` takes the parameters and their gradient (arrays of numbers), what it remembers, and the
// options; it changes the parameters and the memory in place.
globalThis.kerasbook ??= {};

kerasbook.optimisers = {
  SGD: {
    first: () => ({}),
    step(w, gradient, memory, { rate }) {
      for (let i = 0; i < w.length; i++) w[i] -= rate * gradient[i];
    },
  },

  momentum: {
    first: (size) => ({ velocity: new Float64Array(size) }),
    step(w, gradient, { velocity }, { rate, momentum = 0.9 }) {
      for (let i = 0; i < w.length; i++) {
        velocity[i] = momentum * velocity[i] - rate * gradient[i];
        w[i] += velocity[i];
      }
    },
  },

  RMSProp: {
    first: (size) => ({ square: new Float64Array(size) }),
    step(w, gradient, { square }, { rate, decay = 0.9, epsilon = 1e-7 }) {
      for (let i = 0; i < w.length; i++) {
        square[i] = decay * square[i] + (1 - decay) * gradient[i] ** 2;
        w[i] -= (rate * gradient[i]) / Math.sqrt(square[i] + epsilon);
      }
    },
  },

  Adam: {
    first: (size) => ({ steps: 0, mean: new Float64Array(size), square: new Float64Array(size) }),
    step(w, gradient, memory, { rate, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-7 }) {
      const { mean, square } = memory;
      memory.steps += 1;
      const corrected =
        (rate * Math.sqrt(1 - beta2 ** memory.steps)) / (1 - beta1 ** memory.steps);
      for (let i = 0; i < w.length; i++) {
        mean[i] = beta1 * mean[i] + (1 - beta1) * gradient[i];
        square[i] = beta2 * square[i] + (1 - beta2) * gradient[i] ** 2;
        w[i] -= (corrected * mean[i]) / (Math.sqrt(square[i]) + epsilon);
      }
    },
  },
};
