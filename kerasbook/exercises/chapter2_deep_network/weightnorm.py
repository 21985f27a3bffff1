"""Weight normalisation: a dense layer whose weights have a length of their own."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter2_deep_network",
    minutes=35,
    difficulty=2,
    points=4,
    kind="layer",
    outputs=None,
    atol=1e-5,
    rtol=1e-4,
    hints=[
        "A Keras layer has three parts: __init__ keeps the settings, build(shape) makes the "
        "weights with self.add_weight(shape=…, name=…), call(inputs) computes.",
        "In build make direction, length and bias in this order; after that, length must be set to "
        "what the columns of direction measure: self.length.assign(…). In call the norms are "
        "computed anew, with operations that a tape can follow.",
        "norms = tf.norm(self.direction, axis=0) has the shape (units,). The kernel is "
        "self.direction * (self.length / norms), and the output tf.tensordot(inputs, kernel, 1) + "
        "self.bias, which takes any number of axes before the last.",
    ],
)


@exercise.stub
class WeightNormDense:
    """A Keras layer like Dense, with a kernel that is split into directions and lengths.

    In a Dense layer a column w of the kernel says two things at once: which way it looks, and how
    strongly. Here they are separate weights, so that a step can turn a column without making it
    longer. With the direction V of shape (d, units), the length g (units,) and the bias b
    (units,), column j of the kernel is

        w_j = g_j · V_j / ‖V_j‖          (V_j: column j of V; ‖ ‖: root of the sum of squares)

    and the output is  x W + b  for x of shape (…, d), with any number of axes before the last.

    Make it a subclass of keras.layers.Layer with

        __init__(units): int, the number of outputs.
        build: makes the weights, trainable, in the order V, g, b. V starts random (glorot_uniform),
            b at 0, and g such that the kernel is V itself: g_j = ‖V_j‖.
        call: (…, d) → (…, units), float32.

    Checked: the outputs for inputs with 2 and 3 axes and given weights, the gradients for V and g
    by a tape (through the norm, too), that a new layer computes x V, and the weights' shapes;
    tolerance 1e-5 + 1e-4 · |expected|.

    Practises: chapter 2, the deep network, "Backpropagation".
    """

    def __init__(self, units):
        raise NotImplementedError


@exercise.driver
def drive(layer_class, inputs, memory):
    import random

    x, weights = inputs["x"], [inputs["direction"], inputs["length"], inputs["bias"]]
    random.seed(0)  # Keras draws the seeds of its initializers from it
    layer = layer_class(weights[0].shape[1])
    outputs = layer(x)  # builds the layer
    shapes = [list(w.shape) for w in layer.get_weights()]
    if shapes != [list(w.shape) for w in weights]:
        raise ValueError(f"weights of shapes {shapes}; expected V, g, b as specified")
    new = np.asarray(outputs) - x @ layer.get_weights()[0]  # 0 if the kernel is V at first
    layer.set_weights(weights)
    variables = layer.trainable_variables
    if len(variables) != 3:
        raise ValueError(f"{len(variables)} trainable weights, expected 3")
    with tf.GradientTape() as tape:
        outputs = layer(x)
        loss = tf.reduce_mean(outputs**2)
    gradients = tape.gradient(loss, variables)
    if any(gradient is None for gradient in gradients):
        raise ValueError("a weight has no gradient: it has no part in the output")
    names = ("gradient_of_v", "gradient_of_g", "gradient_of_b")
    return {"new_minus_xv": new, "outputs": outputs, **dict(zip(names, gradients))}


def made_up(random, shape, units):
    """Inputs of a case: x of this shape, and the weights of so many units."""
    direction = random.normal(size=(shape[-1], units))
    direction *= random.uniform(0.5, 2, units) / np.linalg.norm(direction, axis=0)
    return {
        "x": random.normal(size=shape).astype("float32"),
        "direction": direction.astype("float32"),
        "length": random.uniform(-2, 3, units).astype("float32"),
        "bias": random.normal(size=units).astype("float32"),
    }


@exercise.public
def examples(random):
    inputs = {
        "x": np.array([[1.0, 2.0]], "float32"),
        "direction": np.array([[3.0, 0.0], [4.0, 2.0]], "float32"),
        "length": np.array([1.0, 5.0], "float32"),
        "bias": np.array([0.0, 1.0], "float32"),
    }
    yield Case("columns (3, 4) and (0, 2)", inputs)


@exercise.hidden
def drawn(random):
    yield Case("7 examples, 4 → 3", made_up(random, (7, 4), 3))
    yield Case("5 examples, 3 → 3", made_up(random, (5, 3), 3))
    yield Case("batch of 2, 5 steps, 3 → 6", made_up(random, (2, 5, 3), 6))
    yield Case("one example, 2 → 1", made_up(random, (1, 2), 1))


@exercise.reference
class Solution(keras.layers.Layer):
    def __init__(self, units):
        super().__init__()
        self.units = units

    def build(self, shape):
        self.direction = self.add_weight(shape=(shape[-1], self.units), name="direction")
        self.length = self.add_weight(shape=(self.units,), name="length")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")
        self.length.assign(tf.norm(self.direction, axis=0))

    def call(self, inputs):
        kernel = self.direction * (self.length / tf.norm(self.direction, axis=0))
        return tf.tensordot(inputs, kernel, 1) + self.bias


@exercise.right
class WithKerasOperations(keras.layers.Layer):
    def __init__(self, units):
        super().__init__()
        self.units = units

    def build(self, shape):
        ops = keras.ops
        self.v = self.add_weight(
            shape=(shape[-1], self.units), initializer="glorot_uniform", name="v"
        )
        length = ops.sqrt(ops.sum(ops.square(self.v), axis=0))
        self.g = self.add_weight(
            shape=(self.units,), initializer=lambda shape, dtype=None: length, name="g"
        )
        self.b = self.add_weight(shape=(self.units,), initializer="zeros", name="b")

    def call(self, inputs):
        length = keras.ops.sqrt(keras.ops.sum(keras.ops.square(self.v), axis=0, keepdims=True))
        return keras.ops.matmul(inputs, self.g * self.v / length) + self.b


@exercise.right
class WithTheOutputsScaled(keras.layers.Layer):
    def __init__(self, units):
        super().__init__()
        self.units = units

    def build(self, shape):
        self.direction = self.add_weight(shape=(shape[-1], self.units), name="direction")
        self.length = self.add_weight(shape=(self.units,), name="length")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")
        self.length.assign(np.linalg.norm(np.array(self.direction), axis=0))

    def call(self, inputs):
        scores = tf.einsum("...d,du->...u", inputs, tf.convert_to_tensor(self.direction))
        squares = tf.reduce_sum(self.direction**2, axis=0)
        return scores * self.length * tf.math.rsqrt(squares) + self.bias


@exercise.right
class WithALoopOverTheUnits(keras.layers.Layer):
    def __init__(self, units):
        super().__init__()
        self.units = units

    def build(self, shape):
        self.direction = self.add_weight(shape=(shape[-1], self.units), name="direction")
        self.length = self.add_weight(shape=(self.units,), name="length")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")
        self.length.assign(tf.sqrt(tf.reduce_sum(self.direction**2, axis=0)))

    def call(self, inputs):
        outputs = []
        for j in range(self.units):
            column = tf.math.l2_normalize(self.direction[:, j])
            outputs.append(tf.reduce_sum(inputs * column, axis=-1) * self.length[j] + self.bias[j])
        return tf.stack(outputs, axis=-1)


exercise.mistake(
    "NormsOfTheRows",
    "The norms are taken along the rows of V. A unit's weights are a column: axis 0, with one norm "
    "for each unit.",
    old=(
        "kernel = self.direction * (self.length / tf.norm(self.direction, axis=0))\n"
        "        return tf.tensordot(inputs, kernel, 1)"
    ),
    new=(
        "norms = tf.sqrt(tf.reduce_sum(self.direction**2, axis=1, keepdims=True))\n"
        "        return tf.tensordot(inputs, self.direction / norms * self.length, 1)"
    ),
)


@exercise.wrong("One norm of the whole V was taken; each column needs its own.")
class OneNormForAll(keras.layers.Layer):
    def __init__(self, units):
        super().__init__()
        self.units = units

    def build(self, shape):
        self.direction = self.add_weight(shape=(shape[-1], self.units), name="direction")
        self.length = self.add_weight(shape=(self.units,), name="length")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")
        norm = tf.sqrt(tf.reduce_sum(self.direction**2))
        self.length.assign(tf.fill((self.units,), norm))

    def call(self, inputs):
        norm = tf.sqrt(tf.reduce_sum(self.direction**2))
        return tf.tensordot(inputs, self.direction * self.length / norm, 1) + self.bias


exercise.mistake(
    "ConstantNorm",
    "The outputs are right and the gradient of V is not: the norm was treated as a constant. It "
    "depends on V, so compute it in call with TensorFlow or Keras operations.",
    old=(
        "kernel = self.direction * (self.length / tf.norm(self.direction, axis=0))\n"
        "        return tf.tensordot(inputs, kernel, 1)"
    ),
    new=(
        "norms = np.linalg.norm(np.array(self.direction), axis=0)\n"
        "        return tf.tensordot(inputs, self.direction * (self.length / norms), 1)"
    ),
)


@exercise.wrong(
    "g begins at 1, so that a new layer's columns all have the length 1. It should begin at ‖V_j‖, "
    "so that the kernel is V."
)
class LengthsBeginAtOne(keras.layers.Layer):
    def __init__(self, units):
        super().__init__()
        self.units = units

    def build(self, shape):
        self.direction = self.add_weight(shape=(shape[-1], self.units), name="direction")
        self.length = self.add_weight(shape=(self.units,), initializer="ones", name="length")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")

    def call(self, inputs):
        norms = tf.sqrt(tf.reduce_sum(self.direction**2, axis=0))
        return tf.tensordot(inputs, self.direction * (self.length / norms), 1) + self.bias


@exercise.wrong(
    "V is divided by the sum of its squares: the root is missing, and a longer V gives a shorter "
    "kernel."
)
class RootForgotten(keras.layers.Layer):
    def __init__(self, units):
        super().__init__()
        self.units = units

    def build(self, shape):
        self.direction = self.add_weight(shape=(shape[-1], self.units), name="direction")
        self.length = self.add_weight(shape=(self.units,), name="length")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")
        self.length.assign(tf.reduce_sum(self.direction**2, axis=0))

    def call(self, inputs):
        squares = tf.reduce_sum(self.direction**2, axis=0)
        return tf.tensordot(inputs, self.direction * (self.length / squares), 1) + self.bias


exercise.mistake(
    "BiasScaledToo",
    old=(
        "kernel = self.direction * (self.length / tf.norm(self.direction, axis=0))\n"
        "        return tf.tensordot(inputs, kernel, 1) + self.bias"
    ),
    new=(
        "norms = tf.sqrt(tf.reduce_sum(self.direction**2, axis=0))\n"
        "        scores = tf.tensordot(inputs, self.direction, 1) + self.bias\n"
        "        return scores * (self.length / norms)"
    ),
)
exercise.mistake(
    "DividedInPlace",
    old=(
        "kernel = self.direction * (self.length / tf.norm(self.direction, axis=0))\n"
        "        return tf.tensordot(inputs, kernel, 1) + self.bias"
    ),
    new=(
        "self.direction.assign(self.direction / tf.norm(self.direction, axis=0))\n"
        "        return tf.tensordot(inputs, self.direction * self.length, 1) + self.bias"
    ),
)


@exercise.wrong()
class AbsoluteValues(keras.layers.Layer):
    def __init__(self, units):
        super().__init__()
        self.units = units

    def build(self, shape):
        self.direction = self.add_weight(shape=(shape[-1], self.units), name="direction")
        self.length = self.add_weight(shape=(self.units,), name="length")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")
        self.length.assign(tf.reduce_sum(tf.abs(self.direction), axis=0))

    def call(self, inputs):
        sums = tf.reduce_sum(tf.abs(self.direction), axis=0)
        return tf.tensordot(inputs, self.direction * (self.length / sums), 1) + self.bias


exercise.mistake(
    "TwoAxesOnly",
    old="tf.tensordot(inputs, kernel, 1)",
    new="tf.linalg.matmul(tf.reshape(inputs, (-1, kernel.shape[0])), kernel)",
)


@exercise.wrong()
class PlainDense(keras.layers.Layer):
    def __init__(self, units):
        super().__init__()
        self.dense = keras.layers.Dense(units)

    def call(self, inputs):
        return self.dense(inputs)
