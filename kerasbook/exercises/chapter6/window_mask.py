"""A sliding-window mask for long texts, with the first tokens."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=6,
    minutes=10,
    difficulty=1,
    points=1,
    hints=[
        "Make an array of the queries' places, (time, 1), and one of the keys' places, (time,). "
        "Every condition is a comparison of the two, and broadcasting makes it (time, time).",
        "A query that is no padding: the key is not behind it, and the key is near or among the "
        "first. Two conditions joined by &, the second of them by |. The lengths add an axis "
        "in front.",
        "i = np.arange(time)[:, np.newaxis]; j = np.arange(time); "
        "seen = (j <= i) & ((i − j < window) | (j < first)); where i < length seen, "
        "elsewhere i == j. A key behind the length is behind the query anyway.",
    ],
)


@exercise.stub
def window_mask(lengths, time, window, first):
    """The attention mask of a decoder that looks back a little way, and at the beginning.

    In a long text each token can look at all before it, and that costs time² scores. Many models
    let it look at the last `window` tokens only, itself among them. Then they go astray as soon as
    the first tokens leave the window, and a simple cure is to keep these in view (Xiao and others
    2023). The rule for a query at place i and a key at place j, both counted from 0:

    - i is text (i < the length of its row): it sees j if j ≤ i, and j is among the last `window`
      places up to i or among the `first` places of the row;
    - i is padding: it sees itself, and nothing else, so that its softmax has something to take.

    Practises: chapter 6, "The causal mask".

    Args:
        lengths: (n,) int array, 1 to time: how many tokens of a row are text; padding is behind.
        time: number of places.
        window: 1 or more.
        first: 0 or more.

    Returns:
        (n, time, time) bool array, [example, query, key]; True means: may look.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    settings = {"time": 5, "window": 2, "first": 1}
    yield Case("lengths 5 and 3", {"lengths": np.array([5, 3]), **settings})


@exercise.hidden
def drawn(random):
    for n, time, window, first in ((1, 6, 3, 0), (3, 8, 2, 2), (4, 11, 4, 1), (2, 7, 1, 3)):
        lengths = random.integers(2, time, size=n)
        inputs = {"lengths": lengths, "time": time, "window": window, "first": first}
        yield Case(f"{n} rows of {time}, window {window}, first {first}", inputs, unchanged=True)
    wide = {"lengths": np.array([4, 1, 2]), "time": 4, "window": 9, "first": 6}
    yield Case("a window wider than the row", wide)


@exercise.reference
def solution(lengths, time, window, first):
    i, j = np.arange(time)[:, np.newaxis], np.arange(time)  # places of queries and of keys
    seen = (j <= i) & ((i - j < window) | (j < first))
    text = i < lengths[:, np.newaxis, np.newaxis]  # (n, time, 1)
    return np.where(text, seen, i == j)


@exercise.right
def with_loops(lengths, time, window, first):
    mask = np.zeros((len(lengths), time, time), bool)
    for example, length in enumerate(lengths):
        for i in range(time):
            mask[example, i, i] = True
            if i < length:
                mask[example, i, max(0, i - window + 1) : i] = True
                mask[example, i, : min(first, i)] = True
    return mask


@exercise.right
def with_tensorflow(lengths, time, window, first):
    band = tf.linalg.band_part(tf.ones((time, time)), min(window, time) - 1, 0)
    begins = tf.linalg.band_part(tf.ones((time, time)), -1, 0) * tf.cast(
        tf.range(time) < first, tf.float32
    )
    text = tf.sequence_mask(lengths, time)[:, :, tf.newaxis]
    return tf.where(text, band + begins > 0, tf.eye(time, dtype=tf.bool))


@exercise.right
def with_triangles(lengths, time, window, first):
    causal = np.tri(time, dtype=bool)
    seen = causal ^ np.tri(time, k=-window, dtype=bool)  # window places
    seen[:, :first] |= causal[:, :first]
    mask = np.stack([seen] * len(lengths))
    for row, length in zip(mask, lengths):
        row[length:] = np.eye(time, dtype=bool)[length:]
    return mask


exercise.mistake(
    "window_too_wide",
    "The window has one place too many: with window 1 a token sees itself only, so i − j must "
    "be less than window.",
    old="i - j < window",
    new="i - j <= window",
)
exercise.mistake(
    "both_sides",
    "The window reaches into the future: keys behind the query are seen. A decoder looks back "
    "only: j ≤ i.",
    old="(j <= i) & ((i - j < window) | (j < first))",
    new="(np.abs(i - j) < window) | ((j < first) & (j <= i))",
)
exercise.mistake(
    "first_seen_from_before",
    "The first places are seen even by queries before them. j ≤ i holds for them too: put "
    "brackets around near-or-first.",
    old="(j <= i) & ((i - j < window) | (j < first))",
    new="((j <= i) & (i - j < window)) | (j < first)",
)
exercise.mistake(
    "padding_sees_nothing",
    "The rows of padding are all False. A softmax over nothing is 0 / 0 if the scores are −∞; "
    "let padding see itself.",
    old="np.where(text, seen, i == j)",
    new="text & seen",
)
exercise.mistake(
    "true_means_hidden",
    "Your mask is the opposite of what is asked for: here True means may look. Some libraries "
    "mean the contrary; a model trained with the wrong one sees only what it must not see.",
    old="np.where",
    new="~np.where",
)
exercise.mistake(
    "queries_and_keys_swapped",
    "Queries and keys have changed places: the first axis after the examples is the query, "
    "the last one the key.",
    old="np.where(text, seen, i == j)",
    new="np.where(text, seen, i == j).swapaxes(1, 2)",
)
exercise.mistake("padding_like_text", old="text,", new="text | True,")
exercise.mistake(
    "first_forgotten",
    old="(i - j < window) | (j < first)",
    new="(i - j < window) & (j >= 0)",
)
exercise.mistake("window_forgotten", old="i - j < window", new="i >= j")
exercise.mistake(
    "numbers",
    old="np.where(text, seen, i == j)",
    new='np.where(text, seen, i == j).astype("float32")',
)
