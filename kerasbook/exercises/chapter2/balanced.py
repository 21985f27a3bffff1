"""Confusion matrix and balanced accuracy, in which every class counts alike."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=2,
    minutes=15,
    difficulty=1,
    points=2,
    outputs=("matrix", "accuracy"),
    atol=1e-6,
    rtol=1e-6,
    hints=[
        "The class that the model chooses is the one with the largest score. Count the pairs "
        "(true class, chosen class) into a matrix of zeros.",
        "Row k of the matrix has all examples that are k. The share on the diagonal is what was "
        "found of class k. A class without examples has no such share.",
        "np.add.at(matrix, (labels, scores.argmax(1)), 1) counts. counts = matrix.sum(axis=1); "
        "present = counts > 0; the mean of diagonal[present] / counts[present] is the answer.",
    ],
)


@exercise.stub
def balanced_accuracy(labels, scores):
    """The confusion matrix, and the mean over the classes of the share that was found.

    If 95 of 100 letters are no adverts, a filter that lets all pass has an accuracy of 95 %.
    The balanced accuracy is the mean over the classes of

        number of examples of class k for which k was chosen / number of examples of class k

    and is 50 % here. Only classes of which there is an example take part in the mean.

    Practises: chapter 2, "Result".

    Args:
        labels: (n,) int array, the true classes, 0 … K − 1; n ≥ 1. Some classes may not occur.
        scores: (n, K) float array. The class with the largest score is chosen; there are no ties.

    Returns:
        matrix: (K, K) int array (int32 or int64); the number of examples that are class i (row)
            and for which class j (column) was chosen.
        accuracy: the balanced accuracy, a number between 0 and 1; tolerance 1e-6 + 1e-6 ·
            |expected|.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    scores = np.array([[2.0, 1.0], [0.5, 0.1], [3.0, 1.0], [0.2, 0.1], [0.9, 0.3], [0.4, 1.5]])
    yield Case("two classes", {"labels": np.array([0, 0, 0, 0, 1, 1]), "scores": scores})


@exercise.hidden
def drawn(random):
    for n, classes in ((40, 3), (75, 5), (30, 2)):
        odds = 0.5 ** np.arange(classes)
        labels = random.choice(classes, n, p=odds / odds.sum())
        labels[:classes] = np.arange(classes)
        scores = random.normal(size=(n, classes)) + 1.5 * np.eye(classes)[labels]
        yield Case(f"{n} examples, {classes} classes", {"labels": labels, "scores": scores})
    labels = random.choice([0, 2, 3], 12)
    labels[:3] = 0, 2, 3
    scores = random.normal(size=(12, 6)) + np.eye(6)[labels]
    yield Case("12 examples, 6 classes", {"labels": labels, "scores": scores})
    yield Case("one example", {"labels": np.array([1]), "scores": random.normal(size=(1, 3))})


@exercise.reference
def solution(labels, scores):
    matrix = np.zeros((scores.shape[1], scores.shape[1]), np.int64)
    np.add.at(matrix, (labels, scores.argmax(axis=1)), 1)
    counts = matrix.sum(axis=1)
    present = counts > 0
    return matrix, np.mean(np.diag(matrix)[present] / counts[present])


@exercise.right
def with_loops(labels, scores):
    classes = scores.shape[1]
    matrix = [[0] * classes for _ in range(classes)]
    for label, row in zip(labels, scores):
        matrix[label][max(range(classes), key=lambda k: row[k])] += 1
    found = [row[k] / sum(row) for k, row in enumerate(matrix) if sum(row)]
    return np.array(matrix), sum(found) / len(found)


@exercise.right
def with_tensorflow(labels, scores):
    chosen = tf.argmax(scores, axis=1)
    matrix = tf.math.confusion_matrix(labels, chosen, num_classes=scores.shape[1])
    shares = [
        tf.reduce_mean(tf.cast(chosen[labels == k] == k, tf.float32)) for k in np.unique(labels)
    ]
    return matrix, tf.reduce_mean(tf.stack(shares))


@exercise.right
def with_one_hot_rows(labels, scores):
    eye = np.eye(scores.shape[1])
    truth, chosen = eye[labels], eye[scores.argmax(axis=1)]
    weights = 1 / truth.sum(axis=0)[labels]  # a rare class' example counts for more
    return (truth.T @ chosen).astype("int32"), np.average((truth * chosen).sum(1), weights=weights)


@exercise.wrong("This is the plain accuracy: a frequent class counts for more than a rare one.")
def plain_accuracy(labels, scores):
    matrix = np.zeros((scores.shape[1], scores.shape[1]), np.int64)
    np.add.at(matrix, (labels, scores.argmax(axis=1)), 1)
    return matrix, np.trace(matrix) / len(labels)


exercise.mistake(
    "matrix_turned",
    "Rows and columns of the matrix are swapped: the row is what an example is.",
    old=", np.mean",
    new=".T, np.mean",
)


@exercise.wrong(
    "A class without examples was counted as one of which nothing was found. Leave it out of the "
    "mean."
)
def missing_classes_count_as_lost(labels, scores):
    matrix = np.zeros((scores.shape[1], scores.shape[1]), np.int64)
    np.add.at(matrix, (labels, scores.argmax(axis=1)), 1)
    return matrix, np.mean(np.diag(matrix) / np.maximum(matrix.sum(axis=1), 1))


exercise.mistake(
    "precision",
    "Divided by how often a class was chosen. That is the precision; asked is what was found of "
    "the examples of a class.",
    old="matrix.sum(axis=1)",
    new="matrix.sum(axis=0)",
)
exercise.mistake(
    "pairs_counted_once",
    "The matrix counts each pair once: matrix[labels, chosen] += 1 does not add up where a pair "
    "occurs again. np.add.at does.",
    old="np.add.at(matrix, (labels, scores.argmax(axis=1)), 1)",
    new="matrix[labels, scores.argmax(axis=1)] += 1",
)


@exercise.wrong()
def only_classes_that_occur(labels, scores):
    kinds, rows = np.unique(labels, return_inverse=True)
    matrix = np.zeros((len(kinds), scores.shape[1]), np.int64)
    np.add.at(matrix, (rows, scores.argmax(axis=1)), 1)
    return matrix, np.mean(matrix[np.arange(len(kinds)), kinds] / matrix.sum(axis=1))


@exercise.wrong()
def shares_in_the_matrix(labels, scores):
    matrix = np.zeros((scores.shape[1], scores.shape[1]))
    np.add.at(matrix, (labels, scores.argmax(axis=1)), 1)
    counts = matrix.sum(axis=1)
    present = counts > 0
    accuracy = np.mean(np.diag(matrix)[present] / counts[present])
    return matrix / np.maximum(counts, 1)[:, np.newaxis], accuracy


exercise.mistake("smallest_score", old="scores.argmax", new="scores.argmin")
exercise.mistake("as_a_percentage", old="np.mean", new="100 * np.mean")
exercise.mistake(
    "size_from_the_labels",
    old="(scores.shape[1], scores.shape[1])",
    new="(labels.max() + 1, labels.max() + 1)",
)
