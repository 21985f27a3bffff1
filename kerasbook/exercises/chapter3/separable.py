"""A layer: the depthwise separable convolution."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=3,
    minutes=45,
    difficulty=3,
    points=5,
    kind="layer",
    outputs=None,
    atol=1e-5,
    rtol=1e-4,
    forbidden=(
        "keras.layers.SeparableConv2D",
        "keras.layers.DepthwiseConv2D",
        "keras.ops.separable_conv",
        "keras.ops.nn.separable_conv",
        "keras.ops.depthwise_conv",
        "keras.ops.nn.depthwise_conv",
        "tensorflow.nn.separable_conv2d",
        "tensorflow.nn.depthwise_conv2d",
    ),
    hints=[
        "The first step never adds over channels: for each place u, v of the window multiply the "
        "moved picture (n, rows, columns, c) by the weights (c, m), which gives (n, rows, columns, "
        "c, m), and add up over u and v only.",
        "Make the three weights in `build` with self.add_weight, in the order of the "
        "specification, for channels = shape[-1]. In `call`, a reshape to (…, c · m) puts the "
        "m maps of a channel side by side; the second step is one matrix product.",
        "Cut windows x[:, u : u + rows, v : v + columns], sum np-like: z += windows[..., None] * "
        "self.depthwise[u, v]; then reshape to (-1, rows, columns, c · m); then z @ self.pointwise "
        "+ self.bias. add_weight(shape=…, name=…) three times.",
    ],
)


@exercise.stub
class SeparableConvolution:
    """A convolution in two steps: first over places, then over channels.

    A usual convolution looks at neighbours and mixes channels in one product, and pays for it with
    k · k · c · f weights. Here the two are parted. Step one, depthwise: each input channel c has m
    windows of its own, and nothing is summed over channels. Step two, pointwise: at every place
    one matrix mixes the c · m maps into f filters.

        d[n, i, j, c·m + q] = Σ_u Σ_v x[n, i + u, j + v, c] · depthwise[u, v, c, q],  0 ≤ q < m
        z[n, i, j, f]       = bias[f] + Σ_k d[n, i, j, k] · pointwise[k, f]

    (c·m + q: the m maps of channel 0 come first.) No padding, a stride of 1, no activation.

    Practises: chapter 3, "A dense layer with tied weights".

    Write it as a subclass of keras.layers.Layer:

        layer = SeparableConvolution(filters, size, multiplier)

    with f = filters, k = size, m = multiplier. When it is first called, or by
    `layer.build((None, None, None, channels))`, it makes three trainable weights in this order:
    depthwise (size, size, channels, multiplier), pointwise (channels · multiplier, filters), bias
    (filters,). `layer.set_weights` then gives them values, and `layer(x)` for x (n, height,
    width, channels) returns z (n, height − size + 1, width − size + 1, filters). One layer is
    called with pictures of several sizes. It shall learn, so use the operations of keras.ops or
    TensorFlow in `call`: NumPy leaves no way back for a gradient.

    Compared are z for pictures of two sizes, and a tape's gradients of the mean of z² for the
    three weights. float32; tolerance 1e-5 + 1e-4 · |expected|. Forbidden: the layers and
    functions for depthwise and separable convolutions of Keras and TensorFlow. The usual
    convolution is allowed.
    """

    def __init__(self, filters, size, multiplier):
        raise NotImplementedError


@exercise.driver
def drive(solution, inputs, memory):
    filters = inputs["pointwise"].shape[1]
    size, _, channels, multiplier = inputs["depthwise"].shape
    layer = solution(filters, size, multiplier)
    layer.build((None, None, None, channels))
    layer.set_weights([inputs["depthwise"], inputs["pointwise"], inputs["bias"]])
    with tf.GradientTape() as tape:
        z = layer(tf.constant(inputs["x"]))
        loss = tf.reduce_mean(z**2)
    gradients = tape.gradient(loss, layer.trainable_weights)
    outputs = {"z": z, "z of another size": layer(tf.constant(inputs["larger"]))}
    for name, gradient in zip(("depthwise", "pointwise", "bias"), gradients):
        if gradient is None:
            raise ValueError(f"no gradient for the weight {name}: does `call` use NumPy?")
        outputs[f"gradient for {name}"] = gradient
    return outputs


def drawn_case(random, name, n, height, width, channels, multiplier, filters, size):
    """Inputs of one case, of about size 1."""
    scale = (size * size) ** -0.5
    shapes = {
        "depthwise": (size, size, channels, multiplier),
        "pointwise": (channels * multiplier, filters),
        "bias": (filters,),
        "x": (n, height, width, channels),
        "larger": (n + 1, height, width + 2, channels),
    }
    inputs = {name: random.normal(size=shape).astype("float32") for name, shape in shapes.items()}
    inputs["depthwise"] *= np.float32(scale)
    return Case(name, inputs)


@exercise.public
def examples(random):
    depthwise = np.zeros((2, 2, 2, 1), "float32")
    depthwise[0, 0, 0, 0] = depthwise[1, 1, 1, 0] = 1
    x = np.arange(18, dtype="float32").reshape(1, 3, 3, 2) / 10
    inputs = {
        "depthwise": depthwise,
        "pointwise": np.array([[1, 0], [10, -1]], "float32"),
        "bias": np.array([0, 0.5], "float32"),
        "x": x,
        "larger": np.ones((2, 3, 4, 2), "float32"),
    }
    yield Case("each channel picks one pixel", inputs)


@exercise.hidden
def drawn(random):
    plans = [
        (1, 4, 3, 1, 1, 1, 3),
        (2, 6, 5, 3, 2, 4, 2),
        (1, 5, 6, 2, 3, 2, 4),
    ]
    for plan in plans:
        n, height, width, channels, multiplier, _, size = plan
        name = f"{height} × {width}, {channels} channels, window {size}, multiplier {multiplier}"
        yield drawn_case(random, f"{name}, batch {n}", *plan)


@exercise.reference
class AsOneUsualConvolution(keras.layers.Layer):
    def __init__(self, filters, size, multiplier):
        super().__init__()
        self.filters, self.size, self.multiplier = filters, size, multiplier

    def build(self, shape):
        c, m = shape[-1], self.multiplier
        self.depthwise = self.add_weight(shape=(self.size, self.size, c, m), name="d")
        self.pointwise = self.add_weight(shape=(c * m, self.filters), name="p")
        self.bias = self.add_weight(shape=(self.filters,), name="b")

    def call(self, x):
        c, m = self.depthwise.shape[2:]
        mixing = keras.ops.reshape(self.pointwise, (c, m, self.filters))
        kernel = keras.ops.einsum("uvcq,cqf->uvcf", self.depthwise, mixing)
        return keras.ops.conv(x, kernel, padding="valid") + self.bias


@exercise.right
class PlaceByPlace(keras.layers.Layer):
    def __init__(self, filters, size, multiplier):
        super().__init__()
        self.filters, self.size, self.multiplier = filters, size, multiplier

    def build(self, shape):
        maps = shape[-1] * self.multiplier
        self.depthwise = self.add_weight(
            shape=(self.size, self.size, shape[-1], self.multiplier), name="depthwise"
        )
        self.pointwise = self.add_weight(shape=(maps, self.filters), name="pointwise")
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")

    def call(self, x):
        rows = tf.shape(x)[1] - self.size + 1
        columns = tf.shape(x)[2] - self.size + 1
        maps = 0.0
        for u in range(self.size):
            for v in range(self.size):
                moved = x[:, u : u + rows, v : v + columns, :, tf.newaxis]
                maps += moved * self.depthwise[u, v]  # (n, rows, columns, c, m)
        maps = tf.reshape(maps, (-1, rows, columns, self.pointwise.shape[0]))
        return tf.matmul(maps, self.pointwise) + self.bias


@exercise.right
class ChannelByChannel(keras.layers.Layer):
    def __init__(self, filters, size, multiplier):
        super().__init__()
        self.filters, self.size, self.multiplier = filters, size, multiplier

    def build(self, shape):
        c, m = shape[-1], self.multiplier
        self.depthwise = self.add_weight(shape=(self.size, self.size, c, m), name="d")
        self.pointwise = self.add_weight(shape=(c * m, self.filters), name="p")
        self.bias = self.add_weight(shape=(self.filters,), name="b")

    def call(self, x):
        kernel = tf.convert_to_tensor(self.depthwise)
        maps = [
            tf.nn.conv2d(x[..., c : c + 1], kernel[:, :, c : c + 1], 1, "VALID")
            for c in range(kernel.shape[2])
        ]
        return tf.tensordot(tf.concat(maps, axis=-1), self.pointwise, 1) + self.bias


@exercise.right
class WithPatches(keras.layers.Layer):
    def __init__(self, filters, size, multiplier):
        super().__init__()
        self.filters, self.size, self.multiplier = filters, size, multiplier
        self.mix = keras.layers.Dense(filters)

    def build(self, shape):
        c, m = shape[-1], self.multiplier
        self.depthwise = self.add_weight(shape=(self.size, self.size, c, m), name="d")
        self.mix.build((None, None, None, c * m))

    def call(self, x):
        size, _, c, m = self.depthwise.shape
        windows = tf.image.extract_patches(
            x, [1, size, size, 1], [1, 1, 1, 1], [1, 1, 1, 1], "VALID"
        )
        places = tf.shape(windows)[1:3]
        windows = tf.reshape(windows, (-1, places[0], places[1], size * size, c))
        kernel = tf.reshape(self.depthwise, (size * size, c, m))
        maps = tf.einsum("nijpc,pcq->nijcq", windows, kernel)
        return self.mix(tf.reshape(maps, (-1, places[0], places[1], c * m)))


exercise.mistake(
    "MapsInOtherOrder",
    "The maps stand in another order: yours has all channels' first map, then all second ones. In "
    "d, the m maps of channel 0 come first (index c·m + q).",
    old=(
        "(self.pointwise, (c, m, self.filters))\n"
        '        kernel = keras.ops.einsum("uvcq,cqf->uvcf", self.depthwise, mixing)'
    ),
    new=(
        "(self.pointwise, (m, c, self.filters))\n"
        '        kernel = keras.ops.einsum("uvcq,qcf->uvcf", self.depthwise, mixing)'
    ),
)
exercise.mistake(
    "SamePadding",
    "Your output is as large as the picture: there is a frame of zeros. The specification has no "
    "padding.",
    old='"valid"',
    new='"same"',
)


@exercise.wrong(
    "There is an activation between the two steps (a relu). The formula has none: the two steps "
    "together are linear."
)
class ReluBetween(keras.layers.Layer):
    def __init__(self, filters, size, multiplier):
        super().__init__()
        self.filters, self.size, self.multiplier = filters, size, multiplier

    def build(self, shape):
        c, m = shape[-1], self.multiplier
        self.depthwise = self.add_weight(shape=(self.size, self.size, c, m), name="d")
        self.pointwise = self.add_weight(shape=(c * m, self.filters), name="p")
        self.bias = self.add_weight(shape=(self.filters,), name="b")

    def call(self, x):
        maps = [
            keras.ops.conv(x[..., c : c + 1], self.depthwise[:, :, c : c + 1], padding="valid")
            for c in range(self.depthwise.shape[2])
        ]
        maps = keras.ops.relu(keras.ops.concatenate(maps, axis=-1))
        return keras.ops.matmul(maps, self.pointwise) + self.bias


@exercise.wrong(
    "Your first step already sums over the channels, so every channel's part is mixed before the "
    "pointwise matrix sees it. Each input channel keeps maps of its own."
)
class SummedOverChannels(keras.layers.Layer):
    def __init__(self, filters, size, multiplier):
        super().__init__()
        self.filters, self.size, self.multiplier = filters, size, multiplier

    def build(self, shape):
        c, m = shape[-1], self.multiplier
        self.depthwise = self.add_weight(shape=(self.size, self.size, c, m), name="d")
        self.pointwise = self.add_weight(shape=(c * m, self.filters), name="p")
        self.bias = self.add_weight(shape=(self.filters,), name="b")

    def call(self, x):
        c = self.depthwise.shape[2]
        maps = keras.ops.conv(x, self.depthwise, padding="valid")  # (n, rows, columns, m)
        return keras.ops.matmul(keras.ops.repeat(maps, c, axis=-1), self.pointwise) + self.bias


exercise.mistake(
    "KernelTurned",
    "The kernels are turned by half a circle: the formula has i + u, j + v.",
    old="return",
    new="kernel = keras.ops.flip(kernel, axis=(0, 1))\n        return",
)
exercise.mistake("NoBias", old="+ self", new="+ 0 * self")
exercise.mistake(
    "WeightsInOtherOrder",
    old=(
        'self.depthwise = self.add_weight(shape=(self.size, self.size, c, m), name="d")\n'
        '        self.pointwise = self.add_weight(shape=(c * m, self.filters), name="p")\n'
        '        self.bias = self.add_weight(shape=(self.filters,), name="b")'
    ),
    new=(
        'self.bias = self.add_weight(shape=(self.filters,), name="b")\n'
        '        self.depthwise = self.add_weight(shape=(self.size, self.size, c, m), name="d")\n'
        '        self.pointwise = self.add_weight(shape=(c * m, self.filters), name="p")'
    ),
)


@exercise.wrong()
class NumpyInCall(keras.layers.Layer):
    def __init__(self, filters, size, multiplier):
        super().__init__()
        self.filters, self.size, self.multiplier = filters, size, multiplier

    def build(self, shape):
        c, m = shape[-1], self.multiplier
        self.depthwise = self.add_weight(shape=(self.size, self.size, c, m), name="d")
        self.pointwise = self.add_weight(shape=(c * m, self.filters), name="p")
        self.bias = self.add_weight(shape=(self.filters,), name="b")

    def call(self, x):
        size = self.size
        windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
        maps = np.einsum("nijcuv,uvcq->nijcq", windows, self.depthwise.numpy())
        maps = maps.reshape(*maps.shape[:3], -1)
        return tf.constant(maps) @ self.pointwise + self.bias


exercise.mistake("TransposedWindow", old='"uvcq,cqf->uvcf"', new='"uvcq,cqf->vucf"')
