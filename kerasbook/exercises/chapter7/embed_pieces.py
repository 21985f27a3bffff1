"""BERT's embeddings: piece, place, segment, and a layer norm."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=7,
    minutes=15,
    difficulty=2,
    points=2,
    hints=[
        "Three rows are added at each place. Two of them are looked up by number; which number has "
        "a place, which a segment?",
        "The segment of a place is how many separators stand before it, so the separator itself "
        "still belongs to its text: np.cumsum(…) and then one place later.",
        "before = cumsum(pieces == separator, axis=1) - (pieces == separator); x = words[pieces] "
        "+ places[:time] + segments[before]; then (x - mean) / sqrt(variance + epsilon) · scale + "
        "shift over the last axis.",
    ],
)


@exercise.stub
def embed_pieces(pieces, separator, words, places, segments, scale, shift, epsilon):
    """Compute what BERT's embeddings make of pieces, with the segments found by the separator.

    A place gets the row of its piece in `words`, plus the row of its place in `places`, plus the
    row of its segment in `segments`. Its segment is the number of separators BEFORE it in its row;
    beyond the last row of `segments` it stays at the last. Then comes a layer norm with `scale` and
    `shift`: mean and variance over the width, epsilon under the root.

    Practises: chapter 7, "What BERT reads".

    Args:
        pieces: (n, time) int array.
        separator: a whole number.
        words: (words, width); places: (places, width), at least time; segments: (segments, width):
            float64 arrays.
        scale, shift: (width,) float64 arrays.
        epsilon: a number above 0.

    Returns:
        (n, time, width) floats. Tolerance 1e-5 + 1e-4 · |expected|.
    """
    raise NotImplementedError


def tables(random, words, places, segments, width, epsilon=0.1):
    """Returns the tables and the norm of a case."""
    sizes = {"words": words, "places": places, "segments": segments}
    found = {name: random.normal(size=(count, width)) for name, count in sizes.items()}
    found |= {name: 1 + random.normal(size=width) for name in ("scale", "shift")}
    return found | {"separator": 3, "epsilon": epsilon}


@exercise.public
def examples(random):
    pieces = np.array([[2, 5, 3, 6, 3, 0]])
    yield Case("two texts", {"pieces": pieces, **tables(random, 8, 6, 2, 4)})


@exercise.hidden
def drawn(random):
    pieces = random.integers(4, 9, (3, 8))
    pieces[0, [2, 6]], pieces[1, 5] = 3, 3
    yield Case(
        "one, two, no separator", {"pieces": pieces, **tables(random, 9, 12, 2, 5)}, unchanged=True
    )
    yield Case(
        "three segments", {"pieces": np.array([[3, 4, 3, 5, 3, 3]]), **tables(random, 7, 6, 3, 3)}
    )
    small = tables(random, 6, 4, 2, 6, epsilon=2.0)
    yield Case("a large epsilon", {"pieces": random.integers(0, 6, (2, 4)), **small})
    yield Case("one place", {"pieces": np.array([[3], [1]]), **tables(random, 4, 5, 2, 4)})


@exercise.reference
def solution(pieces, separator, words, places, segments, scale, shift, epsilon):
    ends = pieces == separator
    before = np.minimum(np.cumsum(ends, axis=1) - ends, len(segments) - 1)
    x = words[pieces] + places[: pieces.shape[1]] + segments[before]
    mean, variance = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
    return scale * (x - mean) / np.sqrt(variance + epsilon) + shift


@exercise.right
def with_tensors(pieces, separator, words, places, segments, scale, shift, epsilon):
    ends = tf.cast(pieces == separator, tf.int32)
    before = tf.minimum(tf.cumsum(ends, axis=1, exclusive=True), len(segments) - 1)
    x = tf.gather(words, pieces) + places[: pieces.shape[1]] + tf.gather(segments, before)
    mean, variance = tf.nn.moments(x, axes=[-1], keepdims=True)
    return tf.nn.batch_normalization(x, mean, variance, shift, scale, epsilon)


@exercise.right
def place_by_place(pieces, separator, words, places, segments, scale, shift, epsilon):
    out = np.zeros((*pieces.shape, words.shape[1]))
    for i, row in enumerate(pieces):
        segment = 0
        for t, piece in enumerate(row):
            x = words[piece] + places[t] + segments[min(segment, len(segments) - 1)]
            out[i, t] = (x - x.mean()) / (x.var() + epsilon) ** 0.5 * scale + shift
            segment += piece == separator
    return out


@exercise.right
def shifted(pieces, separator, words, places, segments, scale, shift, epsilon):
    ends = np.pad(pieces[:, :-1] == separator, ((0, 0), (1, 0)))
    before = np.clip(ends.cumsum(axis=1), 0, len(segments) - 1)
    x = words[pieces] + places[np.arange(pieces.shape[1])] + segments[before]
    x = x - x.mean(axis=-1, keepdims=True)
    return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + epsilon) * scale + shift


exercise.mistake(
    "no_segments",
    "The row of the segment is missing. With one text it is always row 0, but it is there.",
    old=" + segments[before]",
    new="",
)
exercise.mistake(
    "one_place_early",
    "The separator itself belongs to the text that it ends: count those before a place.",
    old="np.cumsum(ends, axis=1) - ends",
    new="np.cumsum(ends, axis=1)",
)
exercise.mistake(
    "epsilon_outside",
    "Epsilon is added to the standard deviation. It belongs to the variance, under the root.",
    old="np.sqrt(variance + epsilon)",
    new="(np.sqrt(variance) + epsilon)",
)
exercise.mistake(
    "keras_epsilon",
    "The epsilon that was given is not used.",
    old="variance + epsilon",
    new="variance + 1e-3",
)
exercise.mistake(
    "norm_of_the_words",
    "The norm comes after the sum of the three rows, not before.",
    old="""    x = words[pieces] + places[: pieces.shape[1]] + segments[before]
    mean, variance = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
    return scale * (x - mean) / np.sqrt(variance + epsilon) + shift""",
    new="""    x = words[pieces]
    mean, variance = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
    x = scale * (x - mean) / np.sqrt(variance + epsilon) + shift
    return x + places[: pieces.shape[1]] + segments[before]""",
)
exercise.mistake("no_places", old=" + places[: pieces.shape[1]]", new="")
exercise.mistake(
    "places_by_piece", old="places[: pieces.shape[1]]", new="places[pieces % len(places)]"
)
exercise.mistake(
    "over_the_batch", old="x.mean(axis=-1, keepdims=True)", new="x.mean(axis=0, keepdims=True)"
)
exercise.mistake("no_scale", old="scale * (x", new="(x")
