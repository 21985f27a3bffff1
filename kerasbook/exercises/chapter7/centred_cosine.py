"""Contextual vectors compared: cosines without the direction that all share."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=7,
    minutes=15,
    difficulty=2,
    points=2,
    outputs=("same word", "any words"),
    hints=[
        "Where does the mean come from: over all vectors, or over those of one word?",
        "Two means: of the pairs with equal word, and of all pairs; a vector with itself "
        "is no pair. What if a vector is the mean itself?",
        "x = vectors - vectors.mean(axis=0); x = x / max(norm, tiny); c = x @ x.T; take the upper "
        "triangle without the diagonal (np.triu_indices(n, 1)).",
    ],
)


@exercise.stub
def centred_cosine(vectors, words):
    """Compare vectors of words in sentences, after taking away what all vectors share.

    The vectors of a network mostly point into one common direction, so that any two have a cosine
    near 1, which says nothing. So subtract the mean of all vectors first. Then compute the cosine
    of every pair of two different places. A vector that is zero after the subtraction has the
    cosine 0 with every other.

    Practises: chapter 7, "What does it know?".

    Args:
        vectors: (n, width) float64 array, n of 2 or more.
        words: (n,) int array: which word each vector belongs to.

    Returns:
        Two numbers: the mean cosine of the pairs that belong to the same word (0 if there is none),
        and the mean cosine of all pairs. Tolerance 1e-5 + 1e-4 · |expected|.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    vectors = np.array([[9.0, 1], [9, -1], [9, 1], [9, -2]])
    yield Case("a large common part", {"vectors": vectors, "words": np.array([0, 0, 1, 1])})


@exercise.hidden
def drawn(random):
    common = 5 * random.normal(size=6)
    vectors, words = common + random.normal(size=(12, 6)), random.integers(0, 4, 12)
    yield Case("twelve vectors", {"vectors": vectors, "words": words}, unchanged=True)
    own = random.normal(size=(3, 5))
    words = np.array([0, 1, 2, 0, 1, 2, 0])
    near = own[words] + 0.1 * random.normal(size=(7, 5)) + 3
    yield Case(
        "alike for each word", {"vectors": near * random.uniform(1, 9, (7, 1)), "words": words}
    )
    yield Case("every word once", {"vectors": random.normal(size=(4, 3)), "words": np.arange(4)})
    cross = np.array([[1.0, 0], [-1, 0], [0, 0], [0, 1], [0, -1]]) + 2
    yield Case("one is the mean", {"vectors": cross, "words": np.array([0, 0, 0, 1, 1])})


@exercise.reference
def solution(vectors, words):
    x = vectors - vectors.mean(axis=0)
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    x = np.divide(x, lengths, out=np.zeros_like(x), where=lengths > 1e-12)
    i, j = np.triu_indices(len(x), 1)
    cosines = (x @ x.T)[i, j]
    same = cosines[words[i] == words[j]]
    return (same.mean() if len(same) else 0.0), cosines.mean()


@exercise.right
def pair_by_pair(vectors, words):
    x, same, every = vectors - vectors.mean(axis=0), [], []
    for i in range(len(x)):
        for j in range(i):
            size = np.linalg.norm(x[i]) * np.linalg.norm(x[j])
            every.append(x[i] @ x[j] / size if size > 1e-12 else 0.0)
            if words[i] == words[j]:
                same.append(every[-1])
    return np.float64(np.mean(same) if same else 0.0), np.float64(np.mean(every))


@exercise.right
def with_tensors(vectors, words):
    x = tf.math.l2_normalize(vectors - tf.reduce_mean(vectors, axis=0), axis=1, epsilon=1e-24)
    cosines = tf.linalg.set_diag(x @ tf.transpose(x), tf.zeros(len(x), tf.float64))
    same = tf.cast(words[:, np.newaxis] == words, tf.float64) - tf.eye(len(x), dtype=tf.float64)
    count = tf.maximum(tf.reduce_sum(same), 1)
    return tf.reduce_sum(cosines * same) / count, tf.reduce_sum(cosines) / (len(x) * (len(x) - 1))


@exercise.right
def by_sums(vectors, words):
    x = vectors - vectors.mean(axis=0)
    x = x / np.maximum(np.sqrt((x**2).sum(axis=1)), 1e-12)[:, np.newaxis]
    table = x @ x.T
    np.fill_diagonal(table, 0.0)
    equal = np.equal.outer(words, words) & ~np.eye(len(x), dtype=bool)
    return table[equal].sum() / max(1, equal.sum()), table.sum() / (table.size - len(x))


exercise.mistake(
    "not_centred",
    "The mean is not taken away, so all cosines are near that of the common direction.",
    old="x = vectors - vectors.mean(axis=0)",
    new="x = vectors * 1.0",
)
exercise.mistake(
    "each_vector_centred",
    "The mean of each vector's own numbers is taken away, which makes correlations of them. The "
    "mean over all vectors is asked for.",
    old="vectors.mean(axis=0)",
    new="vectors.mean(axis=1, keepdims=True)",
)
exercise.mistake(
    "with_itself",
    "A vector is compared with itself, too; that is always 1.",
    old="np.triu_indices(len(x), 1)",
    new="np.triu_indices(len(x), 0)",
)
exercise.mistake(
    "not_normalised",
    "These are scalar products; a cosine divides by both lengths.",
    old="    x = np.divide(x, lengths, out=np.zeros_like(x), where=lengths > 1e-12)\n",
    new="",
)
exercise.mistake(
    "zero_divided",
    "A vector that is the mean itself has no direction: its cosines are 0, not NaN.",
    old="np.divide(x, lengths, out=np.zeros_like(x), where=lengths > 1e-12)",
    new="x / lengths",
)
exercise.mistake(
    "others_only",
    old="    return (same.mean()",
    new="    cosines = cosines[words[i] != words[j]]\n    return (same.mean()",
)
exercise.mistake("none_is_one", old="else 0.0)", new="else 1.0)")
exercise.mistake(
    "mean_of_the_words",
    old="vectors.mean(axis=0)",
    new="np.array([vectors[words == word].mean(axis=0) for word in words])",
)
