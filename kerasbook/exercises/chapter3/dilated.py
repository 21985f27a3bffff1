"""A convolution with a stride and with holes in its window."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=3,
    minutes=35,
    difficulty=2,
    points=3,
    atol=1e-5,
    rtol=1e-4,
    forbidden=(
        "keras.layers.Conv2D",
        "keras.ops.conv",
        "keras.ops.nn.conv",
        "tensorflow.nn.conv2d",
        "tensorflow.nn.convolution",
        "tensorflow.nn.atrous_conv2d",
    ),
    hints=[
        "How many pixels does the window span, from its first weight to its last? That number, "
        "and not the kernel's size, goes into the formulas for the output's size and the frame.",
        "Loop over the weights' places u, v instead of the output's: all pixels that meet the "
        "weight u, v are a slice of the framed picture that begins at dilation · u, dilation · v "
        "and has the stride as its step.",
        'span = dilation · (k − 1) + 1; out = ⌈h / stride⌉ for "same", else (h − span) // stride '
        "+ 1; zeros = max((out − 1) · stride + span − h, 0), zeros // 2 of them before. Then for "
        "each u, v: z += framed[:, d·u : d·u + s·rows : s, d·v : d·v + s·columns : s] @ "
        "kernel[u, v].",
    ],
)


@exercise.stub
def dilated_convolution(x, kernel, bias, stride, dilation, padding):
    """A 2-D convolution (the correlation of chapter 3) with a stride and a dilation.

    A dilated window has holes: its weights lie `dilation` pixels apart, so a 3 × 3 kernel with
    dilation 2 looks at nine pixels out of 5 × 5. Dilation 1 is the usual window. Such layers see
    far without more weights. Keras' own layer refuses a stride and a dilation together; yours
    must take both:

        z[n, i, j, f] = bias[f] + Σ_u Σ_v Σ_c p[n, s·i + d·u, s·j + d·v, c] · kernel[u, v, c, f]

    with stride s, dilation d and p the picture in its frame of zeros. With "valid" there is no
    frame, and only windows that lie inside the picture count. With "same" the output has
    ⌈height / s⌉ rows and ⌈width / s⌉ columns, and in each direction there are just as many zeros
    as the windows need; if their number is odd, the one too many is at the end (bottom, right).
    It is 0 where the windows need none.

    Practises: chapter 3, "A window slides over the picture".

    Args:
        x: (n, height, width, channels) float array.
        kernel: (kh, kw, channels, filters) float array.
        bias: (filters,) float array.
        stride, dilation: integers ≥ 1, for both directions.
        padding: "valid" or "same".

    Returns:
        z, (n, rows, columns, filters); float32 or float64. Tolerance: 1e-5 + 1e-4 · |expected|.
        Forbidden: Keras' and TensorFlow's convolutions, such as keras.layers.Conv2D,
        keras.ops.conv, tf.nn.conv2d and tf.nn.convolution.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    x = np.arange(25.0).reshape(1, 5, 5, 1)
    kernel = np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(2, 2, 1, 1)
    inputs = {"x": x, "kernel": kernel, "bias": np.array([0.5]), "stride": 1, "dilation": 2}
    yield Case("weights two pixels apart", inputs | {"padding": "valid"})
    yield Case("and a frame of zeros", inputs | {"stride": 2, "padding": "same"})


@exercise.hidden
def drawn(random):
    settings = [
        ((1, 7, 7, 1), (3, 3), 2, 1, 1, "valid"),
        ((2, 9, 12, 3), (3, 2), 4, 2, 3, "valid"),
        ((2, 11, 8, 2), (2, 3), 3, 3, 2, "same"),
        ((1, 10, 13, 3), (3, 3), 2, 2, 2, "same"),
        ((3, 12, 9, 2), (1, 4), 5, 2, 1, "same"),
        ((1, 8, 8, 4), (1, 1), 3, 3, 2, "same"),
    ]
    for number, (shape, size, filters, stride, dilation, padding) in enumerate(settings):
        dtype = "float32" if number == 1 else "float64"
        inputs = {
            "x": random.normal(size=shape).astype(dtype),
            "kernel": random.normal(size=(*size, shape[3], filters)).astype(dtype),
            "bias": random.normal(size=filters).astype(dtype),
            "stride": stride,
            "dilation": dilation,
            "padding": padding,
        }
        name = f"picture {shape[1]} × {shape[2]}, kernel {size[0]} × {size[1]}, {padding}"
        yield Case(f"{name}, stride {stride}, dilation {dilation}", inputs, unchanged=True)


@exercise.reference
def solution(x, kernel, bias, stride, dilation, padding):
    sizes, frame = [], [(0, 0)]
    for length, k in zip(x.shape[1:3], kernel.shape[:2]):
        span = dilation * (k - 1) + 1
        if padding == "same":
            places = -(-length // stride)
            zeros = max((places - 1) * stride + span - length, 0)
        else:
            places, zeros = (length - span) // stride + 1, 0
        sizes.append(places)
        frame.append((zeros // 2, zeros - zeros // 2))
    framed = np.pad(x, [*frame, (0, 0)])
    rows, columns = sizes
    z = np.zeros((len(x), rows, columns, kernel.shape[3]), x.dtype) + bias
    for u, v in np.ndindex(kernel.shape[:2]):
        top, left = dilation * u, dilation * v
        met = framed[:, top : top + stride * rows : stride, left : left + stride * columns : stride]
        z += met @ kernel[u, v]  # (n, rows, columns, channels) @ (channels, filters)
    return z


@exercise.right
def with_extracted_patches(x, kernel, bias, stride, dilation, padding):
    high, wide, channels, filters = kernel.shape
    windows = tf.image.extract_patches(
        x, [1, high, wide, 1], [1, stride, stride, 1], [1, dilation, dilation, 1], padding.upper()
    )  # (n, rows, columns, kh · kw · channels)
    flat = tf.reshape(kernel, (high * wide * channels, filters))
    return tf.tensordot(windows, flat, 1) + bias


@exercise.right
def with_four_loops(x, kernel, bias, stride, dilation, padding):
    count, height, width, _ = x.shape
    high, wide, _, filters = kernel.shape
    spans = dilation * (high - 1) + 1, dilation * (wide - 1) + 1
    top = left = 0
    if padding == "same":
        rows, columns = -(-height // stride), -(-width // stride)
        top = max((rows - 1) * stride + spans[0] - height, 0) // 2
        left = max((columns - 1) * stride + spans[1] - width, 0) // 2
    else:
        rows, columns = (height - spans[0]) // stride + 1, (width - spans[1]) // stride + 1
    z = np.empty((count, rows, columns, filters))
    for n, i, j in np.ndindex(count, rows, columns):
        total = np.array(bias, "float64")
        for u, v in np.ndindex(high, wide):
            row, column = stride * i + dilation * u - top, stride * j + dilation * v - left
            if 0 <= row < height and 0 <= column < width:
                total = total + x[n, row, column] @ kernel[u, v]
        z[n, i, j] = total
    return z


@exercise.right
def kernel_with_holes(x, kernel, bias, stride, dilation, padding):
    high, wide, channels, filters = kernel.shape
    spans = dilation * (high - 1) + 1, dilation * (wide - 1) + 1
    holes = np.zeros((*spans, channels, filters), kernel.dtype)
    holes[::dilation, ::dilation] = kernel
    if padding == "same":
        frame = []
        for length, span in zip(x.shape[1:3], spans):
            zeros = max((-(-length // stride) - 1) * stride + span - length, 0)
            frame.append((zeros // 2, zeros - zeros // 2))
        x = np.pad(x, [(0, 0), *frame, (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(x, spans, axis=(1, 2))
    windows = windows[:, ::stride, ::stride]  # (n, rows, columns, channels, *spans)
    return keras.ops.einsum("nijcuv,uvcf->nijf", windows, holes) + bias


exercise.mistake(
    "kernel_turned",
    "Your kernel is turned by half a circle. That is the convolution of mathematics; the formula "
    "asks for the correlation, in which u, v grow in the picture and in the kernel alike.",
    old=", (high * wide * channels, filters)",
    new="[::-1, ::-1], (high * wide * channels, filters)",
    of=with_extracted_patches,
)


@exercise.wrong(
    "The odd zero stands at the beginning. Where the number of zeros is odd, the one too many "
    "belongs at the bottom and at the right."
)
def odd_zero_first(x, kernel, bias, stride, dilation, padding):
    high, wide, channels, filters = kernel.shape
    if padding == "same":
        frame = []
        for length, k in zip(x.shape[1:3], (high, wide)):
            span = dilation * (k - 1) + 1
            zeros = max((-(-length // stride) - 1) * stride + span - length, 0)
            frame.append((zeros - zeros // 2, zeros // 2))
        x = np.pad(x, [(0, 0), *frame, (0, 0)])
    windows = tf.image.extract_patches(
        x, [1, high, wide, 1], [1, stride, stride, 1], [1, dilation, dilation, 1], "VALID"
    )
    return tf.tensordot(windows, tf.reshape(kernel, (high * wide * channels, filters)), 1) + bias


@exercise.wrong(
    "Your frame of zeros is as wide as a window without holes needs it. With its holes the window "
    "spans dilation · (k − 1) + 1 pixels."
)
def frame_without_holes(x, kernel, bias, stride, dilation, padding):
    high, wide, channels, filters = kernel.shape
    if padding == "same":
        frame = []
        for length, k in zip(x.shape[1:3], (high, wide)):
            zeros = max((-(-length // stride) - 1) * stride + k - length, 0)
            frame.append((zeros // 2, zeros - zeros // 2))
        x = np.pad(x, [(0, 0), *frame, (0, 0)])
    windows = tf.image.extract_patches(
        x, [1, high, wide, 1], [1, stride, stride, 1], [1, dilation, dilation, 1], "VALID"
    )
    return tf.tensordot(windows, tf.reshape(kernel, (high * wide * channels, filters)), 1) + bias


@exercise.wrong(
    "Stride and dilation have changed places: the stride is how far the window moves, the dilation "
    "how far its weights lie apart."
)
def stride_as_dilation(x, kernel, bias, stride, dilation, padding):
    high, wide, channels, filters = kernel.shape
    windows = tf.image.extract_patches(
        x, [1, high, wide, 1], [1, dilation, dilation, 1], [1, stride, stride, 1], padding.upper()
    )
    return tf.tensordot(windows, tf.reshape(kernel, (high * wide * channels, filters)), 1) + bias


@exercise.wrong(
    "You count the holes between two weights. The dilation is the distance from one weight to the "
    "next: 1 means no hole."
)
def dilation_counts_holes(x, kernel, bias, stride, dilation, padding):
    high, wide, channels, filters = kernel.shape
    rate = dilation + 1
    windows = tf.image.extract_patches(
        x, [1, high, wide, 1], [1, stride, stride, 1], [1, rate, rate, 1], padding.upper()
    )
    return tf.tensordot(windows, tf.reshape(kernel, (high * wide * channels, filters)), 1) + bias


@exercise.wrong()
def no_dilation(x, kernel, bias, stride, dilation, padding):
    high, wide, channels, filters = kernel.shape
    windows = tf.image.extract_patches(
        x, [1, high, wide, 1], [1, stride, stride, 1], [1, 1, 1, 1], padding.upper()
    )
    return tf.tensordot(windows, tf.reshape(kernel, (high * wide * channels, filters)), 1) + bias


@exercise.wrong()
def no_bias(x, kernel, bias, stride, dilation, padding):
    high, wide, channels, filters = kernel.shape
    windows = tf.image.extract_patches(
        x, [1, high, wide, 1], [1, stride, stride, 1], [1, dilation, dilation, 1], padding.upper()
    )
    return tf.tensordot(windows, tf.reshape(kernel, (high * wide * channels, filters)), 1)


@exercise.wrong()
def always_valid(x, kernel, bias, stride, dilation, padding):
    high, wide, channels, filters = kernel.shape
    windows = tf.image.extract_patches(
        x, [1, high, wide, 1], [1, stride, stride, 1], [1, dilation, dilation, 1], "VALID"
    )
    return tf.tensordot(windows, tf.reshape(kernel, (high * wide * channels, filters)), 1) + bias


@exercise.wrong()
def rows_for_columns(x, kernel, bias, stride, dilation, padding):
    turned = tf.transpose(x, (0, 2, 1, 3))
    high, wide, channels, filters = kernel.shape
    windows = tf.image.extract_patches(
        turned,
        [1, high, wide, 1],
        [1, stride, stride, 1],
        [1, dilation, dilation, 1],
        padding.upper(),
    )
    z = tf.tensordot(windows, tf.reshape(kernel, (high * wide * channels, filters)), 1) + bias
    return tf.transpose(z, (0, 2, 1, 3))


@exercise.wrong()
def stride_after_same(x, kernel, bias, stride, dilation, padding):
    high, wide, channels, filters = kernel.shape
    windows = tf.image.extract_patches(
        x, [1, high, wide, 1], [1, 1, 1, 1], [1, dilation, dilation, 1], padding.upper()
    )  # every window of stride 1, of which each s-th is kept: the frame is another one
    windows = windows[:, ::stride, ::stride]
    return tf.tensordot(windows, tf.reshape(kernel, (high * wide * channels, filters)), 1) + bias
