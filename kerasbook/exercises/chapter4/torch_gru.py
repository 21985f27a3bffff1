"""A GRU from PyTorch for Keras."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=4,
    minutes=20,
    difficulty=1,
    points=2,
    outputs=("kernel", "recurrent_kernel", "bias"),
    atol=1e-7,
    rtol=1e-6,
    hints=[
        "Write one gate in both layouts, with shapes. PyTorch multiplies from the left, W x, with "
        "a row of W for each unit; Keras from the right, x W, with a column.",
        "Two things change: rows become columns, and the thirds r, z, n become z, r, h̃. The same "
        "reordering must reach the biases, which Keras keeps as two rows.",
        "order = np.r_[units : 2 * units, 0 : units, 2 * units : 3 * units]; take it along axis 0 "
        "of all four arrays, transpose the two matrices, and stack the two biases, input first.",
    ],
)


@exercise.stub
def gru_from_pytorch(weight_ih, weight_hh, bias_ih, bias_hh):
    """The weights of `keras.layers.GRU` that does the same as a GRU trained in PyTorch.

    PyTorch's documentation gives (column vectors, one matrix above the other in each array)

        r = σ(W_ir x + b_ir + W_hr h + b_hr)            reset gate
        z = σ(W_iz x + b_iz + W_hz h + b_hz)            update gate
        n = tanh(W_in x + b_in + r ⊙ (W_hn h + b_hn))   candidate
        next h = (1 − z) ⊙ n + z ⊙ h

    Keras' GRU with reset_after=True, its default, has the layout of chapter 4: kernel, recurrent
    kernel and bias, each with three thirds side by side. Read there what z means and in which
    order the thirds stand.

    Practises: chapter 4, "Other conventions".

    Args:
        weight_ih: (3 · units, inputs) float array: W_ir, W_iz, W_in one below the other.
        weight_hh: (3 · units, units) float array: W_hr, W_hz, W_hn.
        bias_ih: (3 · units,) float array: b_ir, b_iz, b_in.
        bias_hh: (3 · units,) float array: b_hr, b_hz, b_hn.

    Returns:
        kernel (inputs, 3 · units), recurrent_kernel (units, 3 · units) and bias (2, 3 · units), a
        tuple, as `layer.set_weights` takes them; float32 or float64. Tolerance: 1e-7 + 1e-6 ·
        |expected|. The inputs must not be changed.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    inputs = {
        "weight_ih": np.array([[1.0, 2.0], [10.0, 20.0], [100.0, 200.0]]),
        "weight_hh": np.array([[3.0], [30.0], [300.0]]),
        "bias_ih": np.array([4.0, 40.0, 400.0]),
        "bias_hh": np.array([5.0, 50.0, 500.0]),
    }
    yield Case("one unit, two inputs: r has ones, z tens, n hundreds", inputs)


@exercise.hidden
def drawn(random):
    for units, width, dtype in (
        (1, 1, "float64"),
        (2, 3, "float64"),
        (3, 3, "float32"),
        (4, 1, "float64"),
        (5, 7, "float32"),
    ):
        shapes = {
            "weight_ih": (3 * units, width),
            "weight_hh": (3 * units, units),
            "bias_ih": (3 * units,),
            "bias_hh": (3 * units,),
        }
        inputs = {name: random.normal(size=shape).astype(dtype) for name, shape in shapes.items()}
        yield Case(f"{units} units, {width} inputs", inputs, unchanged=True)


@exercise.reference
def solution(weight_ih, weight_hh, bias_ih, bias_hh):
    def arranged(rows):  # r, z, n → z, r, n
        r, z, n = np.split(rows, 3)
        return np.concatenate([z, r, n])

    bias = np.stack([arranged(bias_ih), arranged(bias_hh)])
    return arranged(weight_ih).T, arranged(weight_hh).T, bias


@exercise.right
def with_index_arrays(weight_ih, weight_hh, bias_ih, bias_hh):
    units = weight_hh.shape[1]
    order = np.r_[units : 2 * units, 0:units, 2 * units : 3 * units]
    return weight_ih.T[:, order], weight_hh.T[:, order], np.array([bias_ih, bias_hh])[:, order]


@exercise.right
def with_tensorflow(weight_ih, weight_hh, bias_ih, bias_hh):
    def arranged(columns):
        r, z, n = tf.split(columns, 3, axis=1)
        return tf.concat([z, r, n], axis=1)

    bias = tf.stack([bias_ih, bias_hh])
    return tuple(arranged(one) for one in (tf.transpose(weight_ih), tf.transpose(weight_hh), bias))


@exercise.right
def with_keras_and_a_reshape(weight_ih, weight_hh, bias_ih, bias_hh):
    units = weight_hh.shape[1]

    def arranged(rows):
        thirds = keras.ops.reshape(rows, (3, units, -1))
        thirds = keras.ops.take(thirds, [1, 0, 2], axis=0)
        return keras.ops.transpose(keras.ops.reshape(thirds, (3 * units, -1)))

    bias = keras.ops.concatenate([arranged(bias_ih), arranged(bias_hh)], axis=0)
    return arranged(weight_ih), arranged(weight_hh), bias


@exercise.right
def unit_by_unit(weight_ih, weight_hh, bias_ih, bias_hh):
    units, width = weight_hh.shape[1], weight_ih.shape[1]
    kernel, recurrent = np.empty((width, 3 * units)), np.empty((units, 3 * units))
    bias = np.empty((2, 3 * units))
    for place, third in enumerate((1, 0, 2)):
        for unit in range(units):
            row, column = third * units + unit, place * units + unit
            kernel[:, column], recurrent[:, column] = weight_ih[row], weight_hh[row]
            bias[0, column], bias[1, column] = bias_ih[row], bias_hh[row]
    return kernel, recurrent, bias


@exercise.wrong(
    "The thirds still stand in PyTorch's order, r first. Keras wants the update gate z first, then "
    "r, then the candidate. Nothing would complain: the gates would just change their roles."
)
def order_of_pytorch(weight_ih, weight_hh, bias_ih, bias_hh):
    return weight_ih.T, weight_hh.T, np.stack([bias_ih, bias_hh])


@exercise.wrong(
    "The matrices are in Keras' order, the biases still in PyTorch's: each gate gets another "
    "gate's bias."
)
def biases_left_behind(weight_ih, weight_hh, bias_ih, bias_hh):
    units = weight_hh.shape[1]
    order = np.r_[units : 2 * units, 0:units, 2 * units : 3 * units]
    return weight_ih[order].T, weight_hh[order].T, np.stack([bias_ih, bias_hh])


@exercise.wrong(
    "You have added the two biases and left the second row zero. For the gates that is the same, "
    "but the candidate's b_hn stands inside r ⊙ ( … ), where the reset gate scales it."
)
def biases_added(weight_ih, weight_hh, bias_ih, bias_hh):
    units = weight_hh.shape[1]
    order = np.r_[units : 2 * units, 0:units, 2 * units : 3 * units]
    total = (bias_ih + bias_hh)[order]
    return weight_ih[order].T, weight_hh[order].T, np.stack([total, np.zeros_like(total)])


@exercise.wrong(
    "You have changed the signs of z's third, as chapter 4 does for its article. PyTorch's z keeps "
    "the old state, as Keras' does: there is nothing to turn."
)
def update_gate_turned(weight_ih, weight_hh, bias_ih, bias_hh):
    units = weight_hh.shape[1]
    order = np.r_[units : 2 * units, 0:units, 2 * units : 3 * units]
    signs = np.where(np.arange(3 * units) < units, -1.0, 1.0).astype(bias_ih.dtype)
    bias = np.stack([bias_ih[order], bias_hh[order]])
    return weight_ih[order].T * signs, weight_hh[order].T * signs, bias * signs


@exercise.wrong(
    "The matrices have the right shape but are reshaped, not transposed: a reshape reads the "
    "numbers on in the same order and mixes units and inputs."
)
def reshaped(weight_ih, weight_hh, bias_ih, bias_hh):
    units = weight_hh.shape[1]
    order = np.r_[units : 2 * units, 0:units, 2 * units : 3 * units]
    bias = np.stack([bias_ih[order], bias_hh[order]])
    kernel = weight_ih[order].reshape(-1, 3 * units)
    return kernel, weight_hh[order].reshape(units, 3 * units), bias


@exercise.wrong(
    "The two rows of the bias have changed places: the first is added to x W, the second to h U."
)
def biases_swapped(weight_ih, weight_hh, bias_ih, bias_hh):
    units = weight_hh.shape[1]
    order = np.r_[units : 2 * units, 0:units, 2 * units : 3 * units]
    return weight_ih[order].T, weight_hh[order].T, np.stack([bias_hh[order], bias_ih[order]])


@exercise.wrong()
def candidate_first(weight_ih, weight_hh, bias_ih, bias_hh):
    units = weight_hh.shape[1]
    order = np.r_[2 * units : 3 * units, units : 2 * units, 0:units]
    bias = np.stack([bias_ih[order], bias_hh[order]])
    return weight_ih[order].T, weight_hh[order].T, bias


@exercise.wrong()
def each_block_untransposed(weight_ih, weight_hh, bias_ih, bias_hh):
    units = weight_hh.shape[1]
    order = np.r_[units : 2 * units, 0:units, 2 * units : 3 * units]
    recurrent = np.concatenate(np.split(weight_hh[order], 3), axis=1)
    return weight_ih[order].T, recurrent, np.stack([bias_ih[order], bias_hh[order]])


@exercise.wrong()
def one_bias(weight_ih, weight_hh, bias_ih, bias_hh):
    units = weight_hh.shape[1]
    order = np.r_[units : 2 * units, 0:units, 2 * units : 3 * units]
    return weight_ih[order].T, weight_hh[order].T, (bias_ih + bias_hh)[order]


@exercise.wrong()
def not_transposed(weight_ih, weight_hh, bias_ih, bias_hh):
    units = weight_hh.shape[1]
    order = np.r_[units : 2 * units, 0:units, 2 * units : 3 * units]
    return weight_ih[order], weight_hh[order], np.stack([bias_ih[order], bias_hh[order]])
