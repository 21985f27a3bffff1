"""A bidirectional network: two readers side by side."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=4,
    minutes=25,
    difficulty=2,
    points=3,
    outputs=("joined", "last"),
    atol=1e-6,
    rtol=1e-6,
    nan=True,  # so that an answer with rubbish in it is told what it did
    hints=[
        "Write down one sentence of three words in a row of five: which word had the backward "
        "reader just read at each of its steps 0, 1, 2?",
        "At its step s it has just read word length − 1 − s. So the state that belongs to word t "
        "is its step length − 1 − t. That is another index for each row: gather, "
        "np.take_along_axis, or a loop over the rows.",
        "For row i of length k: joined[i, :k, :u] = forward[i, :k]; joined[i, :k, u:] = "
        "backward[i, :k][::-1]; last[i] = forward[i, k−1] beside backward[i, k−1]; if k is 0, all "
        "zeros.",
    ],
)


@exercise.stub
def join_directions(forward, backward, lengths):
    """The states of two recurrent networks, put side by side at their own words.

    One network reads each sentence from its first word to its last, the other from its last word
    to its first; both leave out the padding at the end of the row. Their states come in the order
    in which they were made: forward[i, s] is the state after s + 1 words from the beginning of
    sentence i, backward[i, s] that after s + 1 words from its *end*. What stands at steps s ≥
    lengths[i] is rubbish, and may be NaN.

    Wanted are, for each word, what the two know when they have just read it; and for the whole
    sentence, what each knows when it has read everything.

    Practises: chapter 4, "A simple recurrent network, by hand".

    Args:
        forward, backward: (n, time, units) float arrays.
        lengths: (n,) int64 array, the number of words of each sentence, 0 ≤ length ≤ time.

    Returns:
        joined (n, time, 2 · units): at word t of sentence i the forward state and then the
        backward state after reading this word; zeros at the padding. And last (n, 2 · units): the
        last state of the forward reader and then that of the backward reader; zeros for a
        sentence without words. A tuple; float32 or float64. Tolerance: 1e-6 + 1e-6 · |expected|.
        The inputs must not be changed.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    inputs = {
        "forward": np.array([[[1.0], [2.0], [3.0], [-9.0]]]),
        "backward": np.array([[[10.0], [20.0], [30.0], [-9.0]]]),
        "lengths": np.array([3]),
    }
    yield Case("one sentence of three words", inputs)


@exercise.hidden
def drawn(random):
    plans = [
        ("full rows", 2, 5, 3, [5, 5], "float64"),
        ("one word", 1, 1, 2, [1], "float64"),
        ("several lengths", 4, 6, 2, [6, 1, 4, 2], "float32"),
        ("drawn lengths", 5, 7, 1, random.integers(1, 8, 5), "float64"),
        ("an empty sentence", 3, 4, 2, [2, 0, 4], "float64"),
    ]
    for name, n, time, units, lengths, dtype in plans:
        inputs = {
            "forward": random.normal(size=(n, time, units)).astype(dtype),
            "backward": random.normal(size=(n, time, units)).astype(dtype),
            "lengths": np.array(lengths, "int64"),
        }
        yield Case(name, inputs, unchanged=True)
    rubbish = np.arange(5) >= np.array([[3], [5], [2]])
    inputs = {
        "forward": np.where(rubbish[..., None], np.nan, random.normal(size=(3, 5, 2))),
        "backward": np.where(rubbish[..., None], np.nan, random.normal(size=(3, 5, 2))),
        "lengths": np.array([3, 5, 2]),
    }
    yield Case("real rubbish", inputs, unchanged=True)


@exercise.reference
def solution(forward, backward, lengths):
    n, time, units = forward.shape
    joined, last = np.zeros((n, time, 2 * units)), np.zeros((n, 2 * units))
    for row, length in enumerate(lengths):
        if length > 0:
            joined[row, :length, :units] = forward[row, :length]
            joined[row, :length, units:] = backward[row, :length][::-1]
            last[row] = np.concatenate([forward[row, length - 1], backward[row, length - 1]])
    return joined, last


@exercise.right
def with_index_arrays(forward, backward, lengths):
    steps = np.arange(forward.shape[1])
    mask = (steps < lengths[:, np.newaxis])[..., np.newaxis]  # (n, time, 1)
    turned = np.maximum(lengths[:, np.newaxis] - 1 - steps, 0)[..., np.newaxis]
    backward_at_words = np.take_along_axis(backward, turned, axis=1)
    joined = np.where(mask, np.concatenate([forward, backward_at_words], axis=2), 0)
    both = np.concatenate([forward, backward], axis=2)
    end = np.maximum(lengths - 1, 0)
    last = both[np.arange(len(both)), end]
    return joined, np.where(lengths[:, np.newaxis] > 0, last, 0)


@exercise.right
def with_tensorflow(forward, backward, lengths):
    mask = tf.sequence_mask(lengths, forward.shape[1])[:, :, tf.newaxis]
    turned = tf.reverse_sequence(backward, lengths, seq_axis=1)
    joined = tf.concat([forward, turned], axis=-1)
    joined = tf.where(mask, joined, tf.zeros_like(joined))
    both = tf.concat([forward, backward], axis=-1)
    last = tf.gather(both, tf.maximum(lengths - 1, 0), axis=1, batch_dims=1)
    return joined, tf.where((lengths > 0)[:, np.newaxis], last, tf.zeros_like(last))


@exercise.right
def last_from_the_joined(forward, backward, lengths):
    ops = keras.ops
    rows = []
    time = forward.shape[1]
    for row, length in enumerate(lengths):
        one = ops.concatenate([forward[row, :length], backward[row, :length][::-1]], axis=-1)
        rows.append(ops.pad(one, [(0, time - int(length)), (0, 0)]))
    joined = ops.stack(rows)
    units = forward.shape[2]
    ends = np.maximum(lengths - 1, 0)
    at_end = ops.stack([joined[row, int(end), :units] for row, end in enumerate(ends)])
    return joined, ops.concatenate([at_end, joined[:, 0, units:]], axis=-1)


@exercise.wrong(
    "You turn the whole row round, padding and all. The backward reader began at the last word, "
    "not at the end of the row: each sentence must be turned within its own length."
)
def whole_row_turned(forward, backward, lengths):
    steps = np.arange(forward.shape[1])
    mask = (steps < lengths[:, np.newaxis])[..., np.newaxis]
    both = np.concatenate([forward, backward], axis=2)
    last = both[np.arange(len(both)), np.maximum(lengths - 1, 0)]
    joined = np.where(mask, np.concatenate([forward, backward[:, ::-1]], axis=2), 0)
    return joined, np.where(lengths[:, np.newaxis] > 0, last, 0)


@exercise.wrong(
    "The backward states stand in the order in which they were made. Its first state belongs to "
    "the last word: they must be turned round, each sentence within its own length."
)
def not_turned(forward, backward, lengths):
    steps = np.arange(forward.shape[1])
    mask = (steps < lengths[:, np.newaxis])[..., np.newaxis]
    both = np.concatenate([forward, backward], axis=2)
    last = both[np.arange(len(both)), np.maximum(lengths - 1, 0)]
    return np.where(mask, both, 0), np.where(lengths[:, np.newaxis] > 0, last, 0)


@exercise.wrong(
    "For `last` you take both states at the last word. There the backward reader has read one word "
    "only; it has read everything when it reaches the first."
)
def both_at_the_last_word(forward, backward, lengths):
    steps = np.arange(forward.shape[1])
    mask = (steps < lengths[:, np.newaxis])[..., np.newaxis]
    turned = np.maximum(lengths[:, np.newaxis] - 1 - steps, 0)[..., np.newaxis]
    backward_at_words = np.take_along_axis(backward, turned, axis=1)
    joined = np.where(mask, np.concatenate([forward, backward_at_words], axis=2), 0)
    return joined, joined[np.arange(len(joined)), np.maximum(lengths - 1, 0)]


@exercise.wrong(
    "For `last` you take the states at the end of the row, which is padding for a short sentence. "
    "The last step that counts is length − 1."
)
def last_of_the_row(forward, backward, lengths):
    steps = np.arange(forward.shape[1])
    mask = (steps < lengths[:, np.newaxis])[..., np.newaxis]
    turned = np.maximum(lengths[:, np.newaxis] - 1 - steps, 0)[..., np.newaxis]
    backward_at_words = np.take_along_axis(backward, turned, axis=1)
    joined = np.where(mask, np.concatenate([forward, backward_at_words], axis=2), 0)
    last = np.concatenate([forward[:, -1], backward[:, -1]], axis=1)
    return joined, np.where(lengths[:, np.newaxis] > 0, last, 0)


exercise.mistake(
    "empty_sentence_has_a_state",
    "A sentence without words has got a state: length − 1 is −1 there, which is the end of the row "
    "(or step 0, if you have kept it from being negative). Nothing was read: zeros.",
    old="if length > 0:",
    new="",
)


@exercise.wrong("The two are in the other order: the forward state comes first.")
def backward_first(forward, backward, lengths):
    n, time, units = forward.shape
    joined, last = np.zeros((n, time, 2 * units)), np.zeros((n, 2 * units))
    for row, length in enumerate(lengths):
        if length > 0:
            joined[row, :length, units:] = forward[row, :length]
            joined[row, :length, :units] = backward[row, :length][::-1]
            last[row] = np.concatenate([backward[row, length - 1], forward[row, length - 1]])
    return joined, last


@exercise.wrong()
def multiplied_by_the_mask(forward, backward, lengths):
    steps = np.arange(forward.shape[1])
    mask = (steps < lengths[:, np.newaxis])[..., np.newaxis]
    turned = np.maximum(lengths[:, np.newaxis] - 1 - steps, 0)[..., np.newaxis]
    backward_at_words = np.take_along_axis(backward, turned, axis=1)
    joined = np.concatenate([forward, backward_at_words], axis=2) * mask  # NaN · 0 is NaN
    both = np.concatenate([forward, backward], axis=2)
    last = both[np.arange(len(both)), np.maximum(lengths - 1, 0)]
    return joined, np.where(lengths[:, np.newaxis] > 0, last, 0)


@exercise.wrong()
def added(forward, backward, lengths):
    n, time, units = forward.shape
    joined, last = np.zeros((n, time, units)), np.zeros((n, units))
    for row, length in enumerate(lengths):
        if length > 0:
            joined[row, :length] = forward[row, :length] + backward[row, :length][::-1]
            last[row] = forward[row, length - 1] + backward[row, length - 1]
    return joined, last


@exercise.wrong()
def forward_turned(forward, backward, lengths):
    n, time, units = forward.shape
    joined, last = np.zeros((n, time, 2 * units)), np.zeros((n, 2 * units))
    for row, length in enumerate(lengths):
        if length > 0:
            joined[row, :length, :units] = forward[row, :length][::-1]
            joined[row, :length, units:] = backward[row, :length]
            last[row] = np.concatenate([forward[row, length - 1], backward[row, length - 1]])
    return joined, last


exercise.mistake(
    "one_step_off",
    old="backward[row, :length][::-1]",
    new="np.roll(backward[row, :length][::-1], 1, axis=0)",
)
