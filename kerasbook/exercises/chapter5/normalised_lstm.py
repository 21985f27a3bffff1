"""An LSTM with layer normalisation inside."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=5,
    minutes=50,
    difficulty=3,
    points=5,
    kind="layer",
    outputs=None,
    forbidden=("keras.layers.LSTM", "keras.layers.LSTMCell"),
    hints=[
        "Begin with the chapter's lstm_step, and write a small function inside `call` that "
        "normalises the last axis. Only the sums and the last line of the step change.",
        "Weights are made in `build` by self.add_weight, in the order of the specification. In "
        "`call`, start with a state and a cell of zeros, go through the steps in a loop, and where "
        "the mask is False keep both by tf.where.",
        "sums = norm(x_t @ kernel) * input_scale + norm(h @ recurrent_kernel) * recurrent_scale "
        "+ bias; i, f, g, o = tf.split(sums, 4, axis=-1); c = σ(f) · c + σ(i) · tanh(g); "
        "h = σ(o) · tanh(norm(c) * cell_scale + cell_shift). The cell that is carried on is c.",
    ],
)


@exercise.stub
class NormalisedLSTM(keras.layers.Layer):
    """An LSTM whose sums and cell are normalised, as in Ba, Kiros and Hinton (2016).

    The numbers in a recurrent network can grow or shrink from step to step. Here they are brought
    to the same size at every step. With norm(s) = (s − mean) / √(variance + 0.001), mean and
    variance (divided by the count) over the last axis of s, a step reads x_t (n, inputs), the last
    state h (n, units) and cell c (n, units), and computes

        sums = norm(x_t W) ⊙ input_scale + norm(h U) ⊙ recurrent_scale + bias      (n, 4 · units)
        i, f, g, o = the four quarters of sums, in this order
        c ← σ(f) ⊙ c + σ(i) ⊙ tanh(g)
        h ← σ(o) ⊙ tanh(norm(c) ⊙ cell_scale + cell_shift)

    The norm of the sums goes over all 4 · units numbers together. The cell that is carried on is
    not normalised. State and cell begin with zeros.

    Practises: chapter 5, "A cell with three gates".

    Args:
        units: size of state and cell.
        return_sequences: whether `call` returns the states of all steps or only the last one.

    Weights, in the order of `layer.get_weights()`, all made in `build(input_shape)`:
        kernel W (inputs, 4 · units), recurrent kernel U (units, 4 · units), bias (4 · units,),
        input_scale (4 · units,), recurrent_scale (4 · units,), cell_scale (units,),
        cell_shift (units,).

    call(x, mask=None): x is (n, time, inputs), mask (n, time) of bool or None. Where the mask is
    False, state and cell stay as they were. Returns (n, time, units), or (n, units) without
    return_sequences; float32 or float64. Tolerance: 1e-5 + 1e-4 · |expected|.

    The layer is built, gets weights by `set_weights`, and is called on inputs of several shapes.
    Keras' own LSTM is not to be used.
    """

    def __init__(self, units, return_sequences=False):
        super().__init__()
        raise NotImplementedError


@exercise.driver
def run(solution, inputs, memory):
    layer = solution(inputs["units"], return_sequences=inputs["sequences"])
    layer.supports_masking = True  # else Keras warns that the mask ends here
    layer.build(inputs["x"].shape)
    layer.set_weights([inputs[f"weight_{number}"] for number in range(7)])
    return {
        "masked": layer(tf.constant(inputs["x"]), mask=inputs["mask"]),
        "another_shape": layer(tf.constant(inputs["other"])),
    }


@exercise.public
def examples(random):
    weights = [np.array([[1.0, 2, 3, 4]]), np.ones((1, 4)), np.zeros(4)]
    weights += [np.ones(4), np.ones(4), np.ones(1), np.array([0.5])]
    inputs = {f"weight_{number}": weight for number, weight in enumerate(weights)}
    inputs |= {"x": np.array([[[1.0], [2.0], [-1.0]]]), "mask": None, "sequences": True}
    yield Case("one unit", inputs | {"units": 1, "other": np.ones((2, 2, 1))})


@exercise.hidden
def drawn(random):
    for n, time, inputs, units, masked, sequences in (
        (1, 4, 2, 3, False, False),
        (3, 3, 4, 2, True, True),
        (2, 5, 1, 5, True, False),
    ):
        shapes = [(inputs, 4 * units), (units, 4 * units), (4 * units,)]
        shapes += [(4 * units,), (4 * units,), (units,), (units,)]
        arrays = {
            f"weight_{number}": random.normal(0.4 * (number > 2), 0.6, size=shape)
            for number, shape in enumerate(shapes)
        }
        lengths = random.integers(1, time + 1, size=(n, 1))
        lengths[0] = time - 1
        mask = np.arange(time) < lengths
        mask[-1, 0] = False  # padding can stand in front, too
        arrays |= {
            "x": random.normal(size=(n, time, inputs)),
            "other": random.normal(size=(n + 1, 2, inputs)),
            "mask": mask if masked else None,
            "units": units,
            "sequences": sequences,
        }
        name = f"x ({n}, {time}, {inputs}), {units} units"
        yield Case(name + (", lengths" if masked else ""), arrays)


@exercise.reference
class Solution(keras.layers.Layer):
    def __init__(self, units, return_sequences=False):
        super().__init__()
        self.units, self.return_sequences = units, return_sequences

    def build(self, input_shape):
        four = 4 * self.units
        shapes = [(input_shape[-1], four), (self.units, four), (four,), (four,), (four,)]
        shapes += [(self.units,), (self.units,)]
        self.parts = [self.add_weight(shape=shape) for shape in shapes]
        self.built = True

    def call(self, x, mask=None):
        kernel, recurrent_kernel, bias, *scales, shift = self.parts
        input_scale, recurrent_scale, cell_scale = scales

        def norm(sums):
            mean, variance = tf.nn.moments(sums, axes=[-1], keepdims=True)
            return (sums - mean) / tf.sqrt(variance + 1e-3)

        h = c = tf.zeros((x.shape[0], self.units))
        states = []
        for t in range(x.shape[1]):
            sums = norm(x[:, t] @ kernel) * input_scale
            sums += norm(h @ recurrent_kernel) * recurrent_scale + bias
            i, f, g, o = tf.split(sums, 4, axis=-1)
            new_c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
            new_h = tf.sigmoid(o) * tf.tanh(norm(new_c) * cell_scale + shift)
            if mask is None:
                h, c = new_h, new_c
            else:
                read = mask[:, t, np.newaxis]
                h, c = tf.where(read, new_h, h), tf.where(read, new_c, c)
            states.append(h)
        return tf.stack(states, axis=1) if self.return_sequences else h


@exercise.right
class WithNumPy:
    def __init__(self, units, return_sequences=False):
        self.units, self.return_sequences = units, return_sequences

    def build(self, input_shape):
        pass

    def set_weights(self, weights):
        self.weights = weights

    def __call__(self, x, mask=None):
        kernel, recurrent_kernel, bias, scale_x, scale_h, scale_c, shift = self.weights

        def norm(s):
            centred = s - s.mean(axis=-1, keepdims=True)
            return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 0.001)

        def sigmoid(s):
            return 1 / (1 + np.exp(-s))

        x = np.asarray(x)
        n, time, _ = x.shape
        mask = np.ones((n, time), bool) if mask is None else np.asarray(mask)
        from_x = norm(x @ kernel) * scale_x + bias  # all steps at once
        h, c = np.zeros((2, n, self.units))
        states = np.zeros((n, time, self.units))
        for t in range(time):
            read = mask[:, t]
            sums = from_x[read, t] + norm(h[read] @ recurrent_kernel) * scale_h
            i, f, g, o = np.split(sums, 4, axis=-1)
            c[read] = sigmoid(f) * c[read] + sigmoid(i) * np.tanh(g)
            h[read] = sigmoid(o) * np.tanh(norm(c[read]) * scale_c + shift)
            states[:, t] = h
        return states if self.return_sequences else h


@exercise.right
class WithKerasOps(keras.layers.Layer):
    def __init__(self, units, return_sequences=False):
        super().__init__()
        self.units, self.return_sequences = units, return_sequences

    def build(self, input_shape):
        units = self.units
        self.kernel = self.add_weight(shape=(input_shape[-1], 4 * units), name="kernel")
        self.recurrent = self.add_weight(shape=(units, 4 * units), name="recurrent")
        self.bias = self.add_weight(shape=(4 * units,), name="bias")
        self.scale_x = self.add_weight(shape=(4 * units,), name="scale_x")
        self.scale_h = self.add_weight(shape=(4 * units,), name="scale_h")
        self.scale_c = self.add_weight(shape=(units,), name="scale_c")
        self.shift = self.add_weight(shape=(units,), name="shift")

    def norm(self, s):
        mean = keras.ops.mean(s, axis=-1, keepdims=True)
        variance = keras.ops.var(s, axis=-1, keepdims=True)
        return (s - mean) * keras.ops.rsqrt(variance + 0.001)

    def step(self, x, state):
        h, c, read = *state, x[:, -1:]
        sums = self.norm(keras.ops.matmul(x[:, :-1], self.kernel)) * self.scale_x
        sums = sums + self.norm(keras.ops.matmul(h, self.recurrent)) * self.scale_h + self.bias
        i, f, g, o = keras.ops.split(sums, 4, axis=-1)
        sigmoid, tanh = keras.ops.sigmoid, keras.ops.tanh
        new_c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        new_h = sigmoid(o) * tanh(self.norm(new_c) * self.scale_c + self.shift)
        return read * new_h + (1 - read) * h, read * new_c + (1 - read) * c

    def call(self, x, mask=None):
        n, time, _ = x.shape
        read = keras.ops.ones((n, time)) if mask is None else keras.ops.cast(mask, "float32")
        x = keras.ops.concatenate([x, read[..., None]], axis=-1)
        state, states = (keras.ops.zeros((n, self.units)),) * 2, []
        for t in range(time):
            state = self.step(x[:, t], state)
            states.append(state[0])
        return keras.ops.stack(states, axis=1) if self.return_sequences else states[-1]


@exercise.right
class WithOneMatrix(keras.layers.Layer):
    def __init__(self, units, return_sequences=False):
        super().__init__()
        self.units, self.return_sequences = units, return_sequences

    def build(self, input_shape):
        four = 4 * self.units
        for name, shape in {
            "kernel": (input_shape[-1], four), "recurrent_kernel": (self.units, four),
            "bias": (four,), "input_scale": (four,), "recurrent_scale": (four,),
            "cell_scale": (self.units,), "cell_shift": (self.units,),
        }.items():  # fmt: skip
            setattr(self, name, self.add_weight(shape=shape, name=name))

    def call(self, x, mask=None):
        def norm(s):
            s = s - tf.reduce_mean(s, axis=-1, keepdims=True)
            return s * tf.math.rsqrt(tf.reduce_mean(s * s, axis=-1, keepdims=True) + 1e-3)

        def step(state, step_input):
            h, c = state
            from_x, read = step_input
            sums = from_x + norm(h @ self.recurrent_kernel) * self.recurrent_scale
            gates = tf.sigmoid(sums)
            i, f, o = (gates[:, k * self.units : (k + 1) * self.units] for k in (0, 1, 3))
            new_c = f * c + i * tf.tanh(sums[:, 2 * self.units : 3 * self.units])
            new_h = o * tf.tanh(norm(new_c) * self.cell_scale + self.cell_shift)
            return tf.where(read, new_h, h), tf.where(read, new_c, c)

        mask = tf.ones(x.shape[:2], bool) if mask is None else tf.convert_to_tensor(mask)
        from_x = norm(x @ self.kernel) * self.input_scale + self.bias
        state, states = (tf.zeros((x.shape[0], self.units)),) * 2, []
        for pair in zip(tf.unstack(from_x, axis=1), tf.unstack(mask[..., None], axis=1)):
            state = step(state, pair)
            states.append(state[0])
        return tf.stack(states, axis=1) if self.return_sequences else state[0]


exercise.mistake(
    "CarriesNormalised",
    "The cell is normalised and then carried on. It should be carried on as it is: the norm "
    "stands only before the last tanh. Otherwise a memory is rescaled at every step.",
    old="new_h = tf.sigmoid(o) * tf.tanh(norm(new_c) * cell_scale + shift)",
    new=(
        "new_c = norm(new_c) * cell_scale + shift\n"
        "            new_h = tf.sigmoid(o) * tf.tanh(new_c)"
    ),
)
exercise.mistake(
    "NormOfTheTotal",
    "You add both products first and normalise their total. Each has a norm and a scale of its "
    "own, so that neither can drown the other.",
    old=(
        "(x[:, t] @ kernel) * input_scale\n"
        "            sums += norm(h @ recurrent_kernel) * recurrent_scale +"
    ),
    new=(
        "(x[:, t] @ kernel * input_scale + h @ recurrent_kernel * recurrent_scale)\n"
        "            sums +="
    ),
)


@exercise.wrong(
    "You normalise each gate's quarter by itself. Here mean and variance go over all 4 · units "
    "sums of an example together."
)
class NormOfEachGate(keras.layers.Layer):
    def __init__(self, units, return_sequences=False):
        super().__init__()
        self.units, self.return_sequences = units, return_sequences

    def build(self, input_shape):
        four = 4 * self.units
        shapes = [(input_shape[-1], four), (self.units, four), (four,), (four,), (four,)]
        shapes += [(self.units,), (self.units,)]
        self.parts = [self.add_weight(shape=shape) for shape in shapes]
        self.built = True

    def call(self, x, mask=None):
        kernel, recurrent_kernel, bias, *scales, shift = self.parts
        input_scale, recurrent_scale, cell_scale = scales

        def norm_one(sums):
            mean, variance = tf.nn.moments(sums, axes=[-1], keepdims=True)
            return (sums - mean) / tf.sqrt(variance + 1e-3)

        def norm(sums):
            if sums.shape[-1] == self.units:
                return norm_one(sums)
            return tf.concat([norm_one(part) for part in tf.split(sums, 4, axis=-1)], axis=-1)

        h = c = tf.zeros((x.shape[0], self.units))
        states = []
        for t in range(x.shape[1]):
            sums = norm(x[:, t] @ kernel) * input_scale
            sums += norm(h @ recurrent_kernel) * recurrent_scale + bias
            i, f, g, o = tf.split(sums, 4, axis=-1)
            new_c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
            new_h = tf.sigmoid(o) * tf.tanh(norm(new_c) * cell_scale + shift)
            if mask is None:
                h, c = new_h, new_c
            else:
                read = mask[:, t, np.newaxis]
                h, c = tf.where(read, new_h, h), tf.where(read, new_c, c)
            states.append(h)
        return tf.stack(states, axis=1) if self.return_sequences else h


exercise.mistake(
    "MaskForTheStateOnly",
    "Where the mask is False the state is kept, but the cell has read the padding and shows it "
    "later. Keep both.",
    old="tf.where(read, new_c, c)",
    new="new_c",
)
exercise.mistake(
    "EpsilonOutside",
    "The 0.001 is outside of the root: the deviation plus 0.001. It belongs under the root, "
    "beside the variance.",
    old="tf.sqrt(variance + 1e-3)",
    new="(tf.sqrt(variance) + 1e-3)",
)
exercise.mistake(
    "ZerosAtPadding",
    "At padding your outputs are zero, and so the last output is that of the padding. There the "
    "state stays as it was, and is the output again.",
    old=(
        "states.append(h)\n        return tf.stack(states, axis=1) if self.return_sequences else h"
    ),
    new=(
        "states.append(h if mask is None else tf.where(mask[:, t, np.newaxis], h, 0.0))\n"
        "        return tf.stack(states, axis=1) if self.return_sequences else states[-1]"
    ),
)


@exercise.wrong()
class MaskIgnored(keras.layers.Layer):
    def __init__(self, units, return_sequences=False):
        super().__init__()
        self.units, self.return_sequences = units, return_sequences

    def build(self, input_shape):
        four = 4 * self.units
        shapes = [(input_shape[-1], four), (self.units, four), (four,), (four,), (four,)]
        shapes += [(self.units,), (self.units,)]
        self.parts = [self.add_weight(shape=shape) for shape in shapes]
        self.built = True

    def call(self, x, mask=None):
        kernel, recurrent_kernel, bias, *scales, shift = self.parts
        input_scale, recurrent_scale, cell_scale = scales

        def norm(sums):
            mean, variance = tf.nn.moments(sums, axes=[-1], keepdims=True)
            return (sums - mean) / tf.sqrt(variance + 1e-3)

        h = c = tf.zeros((x.shape[0], self.units))
        states = []
        for t in range(x.shape[1]):
            sums = norm(x[:, t] @ kernel) * input_scale
            sums += norm(h @ recurrent_kernel) * recurrent_scale + bias
            i, f, g, o = tf.split(sums, 4, axis=-1)
            new_c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
            new_h = tf.sigmoid(o) * tf.tanh(norm(new_c) * cell_scale + shift)
            h, c = new_h, new_c
            states.append(h)
        return tf.stack(states, axis=1) if self.return_sequences else h


exercise.mistake("OtherOrder", old="i, f, g, o", new="i, f, o, g")
exercise.mistake("CellNotNormalised", old="norm(new_c)", new="new_c")
exercise.mistake("OverTheBatch", old="=[-1]", new="=[0]")
