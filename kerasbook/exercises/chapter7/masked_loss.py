"""The loss of a masked language model: the mean over the places that were asked."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=7,
    minutes=5,
    difficulty=1,
    points=1,
    hints=[
        "Which labels are none? Pick the others first; a label 0 is one of them.",
        "Divide by how many were asked, not by how many places there are. What if nobody was?",
        "asked = labels != ignored; log_p = logits - logsumexp(logits) for the asked rows; the "
        "loss is -log_p[np.arange(n), labels[asked]].mean(), or 0.0 if n is 0.",
    ],
)


@exercise.stub
def masked_loss(logits, labels, ignored):
    """Compute the mean cross-entropy over the places of a batch that were asked.

    Nothing was asked where the label is `ignored`; there the logits, whatever they are, have no
    say. If nothing at all was asked, the loss is 0.

    Practises: chapter 7, "Cover words, and do it right".

    Args:
        logits: (n, time, words) float64 array, also large ones; NaN where nothing was asked.
        labels: (n, time) int array.
        ignored: a whole number that is no word.

    Returns:
        The loss in nats, a number. Tolerance 1e-5 + 1e-4 · |expected|.
    """
    raise NotImplementedError


def asked(random, n, time, words, share, ignored=-100, scale=1.0):
    """Returns the inputs of a case."""
    labels = random.integers(0, words, (n, time))
    labels[random.random((n, time)) >= share] = ignored
    logits = scale * random.normal(size=(n, time, words))
    logits[labels == ignored] = np.nan
    return {"logits": logits, "labels": labels, "ignored": ignored}


@exercise.public
def examples(random):
    logits = np.array([[[0.0, 0.0], [2.0, 0.0], [1.0, 3.0]]])
    labels = np.array([[0, -100, 1]])
    yield Case("two of three places", {"logits": logits, "labels": labels, "ignored": -100})


@exercise.hidden
def drawn(random):
    yield Case("one in seven", asked(random, 4, 20, 9, 0.15), unchanged=True)
    many = asked(random, 3, 6, 2, 0.7)
    many["labels"][0, 0], many["logits"][0, 0] = 0, [1.0, -1.0]
    yield Case("two words", many)
    yield Case("rows asked more and less", asked(random, 2, 30, 5, 0.4) | {})
    yield Case("large logits", asked(random, 2, 8, 4, 0.5, scale=2000.0))
    yield Case("another number for none", asked(random, 2, 8, 4, 0.5, ignored=4))
    yield Case("nothing asked", asked(random, 2, 3, 4, -1.0))


@exercise.reference
def solution(logits, labels, ignored):
    places = labels != ignored
    chosen, answers = logits[places], labels[places]
    if len(answers) == 0:
        return 0.0
    chosen = chosen - chosen.max(axis=-1, keepdims=True)
    log_p = chosen - np.log(np.exp(chosen).sum(axis=-1, keepdims=True))
    return -log_p[np.arange(len(answers)), answers].mean()


@exercise.right
def with_tensors(logits, labels, ignored):
    places = labels != ignored
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels[places], logits[places])
    return tf.reduce_sum(losses) / max(1, places.sum())


@exercise.right
def place_by_place(logits, labels, ignored):
    total = count = 0.0
    for row, y in zip(logits.reshape(-1, logits.shape[-1]), labels.ravel()):
        if y != ignored:
            total += np.logaddexp.reduce(row) - row[y]
            count += 1
    return np.float64(total / count if count else 0.0)


@exercise.right
def weighted(logits, labels, ignored):
    places = labels != ignored
    logits = np.where(places[..., np.newaxis], logits, 0.0)
    loss = np.logaddexp.reduce(logits, axis=-1)
    loss -= np.take_along_axis(logits, np.where(places, labels, 0)[..., np.newaxis], -1)[..., 0]
    return (loss * places).sum() / np.maximum(places.sum(), 1)


exercise.mistake(
    "mean_of_all_places",
    "The sum is divided by the number of all places, also of those where nothing was asked. So the "
    "loss is several times too small, and depends on how long the texts are.",
    old="answers].mean()",
    new="answers].sum() / labels.size",
)
exercise.mistake(
    "zero_is_none",
    "Label 0 is left out. Padding is word 0, but here a label of 0 was asked like any other; only "
    "`ignored` is none.",
    old="places = labels != ignored",
    new="places = (labels != ignored) & (labels != 0)",
)
exercise.mistake(
    "mean_of_means",
    "The mean of each row is taken first, so a row of which little was asked weighs as much as "
    "one of which much was.",
    old="    return -log_p[np.arange(len(answers)), answers].mean()",
    new="    losses, rows = -log_p[np.arange(len(answers)), answers], np.nonzero(places)[0]\n"
    "    return np.mean([losses[rows == row].mean() for row in np.unique(rows)])",
)
exercise.mistake(
    "overflow",
    "Large logits overflow in the exponential: subtract the largest first.",
    old="    chosen = chosen - chosen.max(axis=-1, keepdims=True)\n",
    new="",
)
exercise.mistake(
    "nothing_asked_forgotten",
    "If nothing was asked, this is the mean of nothing, NaN.",
    old="    if len(answers) == 0:\n        return 0.0\n",
    new="",
)
exercise.mistake("sum_in_place_of_mean", old="answers].mean()", new="answers].sum()")
exercise.mistake("sign", old="return -log_p", new="return log_p")
exercise.mistake("minus_hundred", old="labels != ignored", new="labels != -100")
