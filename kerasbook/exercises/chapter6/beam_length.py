"""Beam search with a length penalty."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=6,
    minutes=45,
    difficulty=3,
    points=4,
    outputs=("tokens", "score"),
    hints=[
        "Keep two lists: the beginnings that go on, each with its sum of log-probabilities, and "
        "the finished answers, each with its score. In a step all continuations of all beginnings "
        "compete by their sums.",
        "Of the best `beams` continuations, those that end go to the finished ones, and are "
        "divided by the penalty there; the others are the beginnings of the next step. They may be "
        "fewer than `beams`, even none.",
        "In each of `longest` steps, candidates = "
        "sorted([(total + table[last, token], [*said, token]) …], reverse=True)[:beams]. "
        "Behind the loop, those that go on count as finished as they "
        "are. score = total / ((5 + len(said)) / 6) ** alpha; the largest wins.",
    ],
)


@exercise.stub
def beam_search(table, start, beams, longest, alpha):
    """The best answer by beam search with a length penalty, for a given table of a model.

    Each token has a probability below 1, so the more tokens an answer has, the smaller its
    probability, and beam search by the sum of log-probabilities likes to end early. Wu and others
    (2016) divide the sum for an answer of `length` tokens by ((5 + length) / 6)^α.

    Here the model is a table: table[a, b] is the log-probability that token b follows token a.
    Token 0 is the end. The search:

    1. One beginning is there, with nothing said and the sum 0; the token before it is `start`.
    2. In each of `longest` steps: every beginning is continued by every token; the sum grows by the
       table's entry for the last token and the new one. Of all these continuations the `beams` with
       the largest sums are taken. Those that end in token 0 are finished and put aside; the others
       are the beginnings of the next step. If there are none left, the search stops.
    3. After the last step the beginnings that are left count as finished, without an end.
    4. The score of a finished answer is its sum divided by ((5 + length) / 6)^α, where length
       counts its tokens, the end included. The answer with the largest score is returned.

    Practises: chapter 6, continued: saying words, "Saying a word: by beam".

    Args:
        table: (classes, classes) float array of log-probabilities.
        start: the token before the first; not 0.
        beams: 1 or more; can be more than there are continuations.
        longest: steps, 1 or more.
        alpha: α, 0 or more.

    Returns:
        tokens: (longest,) int32 or int64, the tokens of the answer, the end included, then −1.
        score: a number, float32 or float64. Tolerance: 1e-5 + 1e-4 · |expected|.
        There are no ties.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    table = np.log([[0.98, 0.01, 0.01], [0.5, 0.1, 0.4], [0.2, 0.7, 0.1]])
    settings = {"table": table, "start": 1, "beams": 2, "longest": 4}
    yield Case("no penalty", {**settings, "alpha": 0.0})
    yield Case("the same with a penalty", {**settings, "alpha": 2.0})


def settings(random, beams, longest):
    """Returns a random table of 3 to 6 tokens, and the other inputs."""
    classes = int(random.integers(3, 7))
    logits = random.normal(0, 1.5, size=(classes, classes))
    logits[:, 0] += random.uniform(-2, 1.5)  # how soon answers end
    table = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    alpha = round(float(random.uniform(0.5, 2)), 1)
    settings = {"table": table, "start": classes - 1, "beams": beams, "longest": longest}
    return {**settings, "alpha": alpha}


@exercise.hidden
def drawn(random):
    wrong_ones = {one.name: one.function for one in exercise.wrong_ones}
    number = 1
    # Many tables have the same answer for right and wrong searches: draw until one differs.
    for name in (
        "unfinished_lost",
        "stops_at_the_first_end",
        "beams_for_each_beginning",
        "ends_do_not_compete",
        "end_not_counted",
        "plain_length",
        "greedy",
    ):
        wrong = wrong_ones[name]
        for _ in range(1000):
            sizes = int(random.integers(2, 5)), int(random.integers(3, 9))
            inputs = settings(random, *sizes)
            if not np.array_equal(solution(**inputs)[0], wrong(**inputs)[0]):
                break
        yield Case(f"table {number}, {sizes[0]} beams, {sizes[1]} steps", inputs, unchanged=True)
        number += 1
    yield Case("one beam", settings(random, 1, 6))
    yield Case("more beams than continuations", settings(random, 50, 3))
    yield Case("one step", settings(random, 2, 1))


@exercise.reference
def solution(table, start, beams, longest, alpha):
    going, finished = [(0.0, [])], []
    for _ in range(longest):
        candidates = []
        for total, said in going:
            steps = table[said[-1] if said else start]
            candidates += [(total + step, [*said, token]) for token, step in enumerate(steps)]
        candidates = sorted(candidates, reverse=True)[:beams]
        finished += [each for each in candidates if each[1][-1] == 0]
        going = [each for each in candidates if each[1][-1] != 0]
    finished += going
    scores = [total / ((5 + len(said)) / 6) ** alpha for total, said in finished]
    best = int(np.argmax(scores))
    said = finished[best][1]
    return np.array(said + [-1] * (longest - len(said))), scores[best]


@exercise.right
def with_arrays(table, start, beams, longest, alpha):
    classes = len(table)
    said = np.full((1, longest), -1)
    last, sums = np.array([start]), np.zeros(1)
    best_score, best = -np.inf, None
    for step in range(longest):
        totals = (sums[:, None] + table[last]).ravel()
        chosen = np.argsort(-totals)[:beams]
        rows, last, sums = chosen // classes, chosen % classes, totals[chosen]
        said = said[rows]
        said[:, step] = last
        done = (last == 0) | (step == longest - 1)
        if done.any():
            scores = sums[done] / ((5 + step + 1) / 6) ** alpha
            if scores.max() > best_score:
                best_score, best = scores.max(), said[done][scores.argmax()]
        if done.all():
            break
        said, last, sums = said[~done], last[~done], sums[~done]
    return best, best_score


@exercise.right
def with_top_k(table, start, beams, longest, alpha):
    table = tf.constant(table, tf.float32)
    classes = table.shape[0]
    # Ended rows are kept with the sum −∞, so that the arrays keep their shapes.
    sums, last, said = tf.constant([0.0]), tf.constant([start]), tf.zeros((1, 0), tf.int32)
    answers = []
    for step in range(1, longest + 1):
        totals = tf.reshape(sums[:, None] + tf.gather(table, last), (-1,))
        sums, chosen = tf.math.top_k(totals, min(beams, len(totals)))
        last = chosen % classes
        said = tf.concat([tf.gather(said, chosen // classes), last[:, None]], axis=1)
        for row in range(len(sums)):
            if np.isfinite(sums[row]) and (last[row] == 0 or step == longest):
                answers.append((float(sums[row]) * (6 / (5 + step)) ** alpha, said[row].numpy()))
        sums = tf.where(last == 0, -np.inf, sums)
    score, tokens = max(answers, key=lambda each: each[0])
    return np.pad(tokens, (0, longest - len(tokens)), constant_values=-1), score


@exercise.right
def ranked_by_score_too(table, start, beams, longest, alpha):
    # All continuations of a step have the same length: by score they stand in the same order.
    beginnings, answers = {(): 0.0}, {}
    for length in range(1, longest + 1):
        penalty = ((5 + length) / 6) ** alpha
        scores = {
            (*said, token): (total + table[(start, *said)[-1], token]) / penalty
            for said, total in beginnings.items()
            for token in range(len(table))
        }
        kept = sorted(scores, key=scores.get, reverse=True)[:beams]
        answers |= {said: scores[said] for said in kept if said[-1] == 0 or length == longest}
        beginnings = {said: scores[said] * penalty for said in kept if said[-1] != 0}
    best = max(answers, key=answers.get)
    return np.array([*best, *[-1] * (longest - len(best))]), answers[best]


exercise.mistake(
    "no_penalty",
    "The score is the sum as it is, as if α were 0. Divide by ((5 + length) / 6)^α, so that "
    "short answers lose their advantage.",
    old="total / ((5 + len(said)) / 6) ** alpha",
    new="total",
)
exercise.mistake(
    "penalty_multiplied",
    "You multiply by the penalty. Sums of logarithms are negative: multiplying makes long "
    "answers still worse. Divide.",
    old="total /",
    new="total *",
)
exercise.mistake(
    "end_not_counted",
    "Your length leaves the end out. It is a token that had to be predicted, and it counts.",
    old="5 + len(said)",
    new="5 + len(said) - (said[-1] == 0)",
)
exercise.mistake(
    "unfinished_lost",
    "Answers that have not ended after the last step are lost. They count as they are; "
    "sometimes there are no others.",
    old="finished += going",
    new="finished = finished or going",
)


@exercise.wrong(
    "You stop at the first end. A longer answer that is still on its way may have the better "
    "score: go on until nothing is left or all steps are done."
)
def stops_at_the_first_end(table, start, beams, longest, alpha):
    going, finished = [(0.0, [])], []
    for _ in range(longest):
        candidates = []
        for total, said in going:
            steps = table[said[-1] if said else start]
            candidates += [(total + step, [*said, token]) for token, step in enumerate(steps)]
        candidates = sorted(candidates, reverse=True)[:beams]
        finished += [each for each in candidates if each[1][-1] == 0]
        going = [each for each in candidates if each[1][-1] != 0]
        if finished:
            going = []
            break
    finished += going
    scores = [total / ((5 + len(said)) / 6) ** alpha for total, said in finished]
    best = int(np.argmax(scores))
    said = finished[best][1]
    return np.array(said + [-1] * (longest - len(said))), scores[best]


exercise.mistake(
    "plain_length",
    "The penalty is not length^α: there the first tokens count far more than the later ones. "
    "It is ((5 + length) / 6)^α.",
    old="((5 + len(said)) / 6) ** alpha",
    new="len(said) ** alpha",
)
exercise.mistake("greedy", old=":beams", new=":1")
exercise.mistake(
    "beams_for_each_beginning",
    old=(
        "candidates += [(total + step, [*said, token]) for token, step in enumerate(steps)]\n"
        "        candidates = sorted(candidates, reverse=True)[:beams]"
    ),
    new=(
        "more = [(total + step, [*said, token]) for token, step in enumerate(steps)]\n"
        "            candidates += sorted(more, reverse=True)[:beams]\n"
        "        candidates = sorted(candidates, reverse=True)[: 2 * beams]"
    ),
)
exercise.mistake(
    "ends_do_not_compete",
    old=(
        "candidates = sorted(candidates, reverse=True)[:beams]\n"
        "        finished += [each for each in candidates if each[1][-1] == 0]\n"
        "        going = [each for each in candidates if each[1][-1] != 0]"
    ),
    new=(
        "finished += [each for each in candidates if each[1][-1] == 0]\n"
        "        going = [each for each in candidates if each[1][-1] != 0]\n"
        "        going = sorted(going, reverse=True)[:beams]"
    ),
)
exercise.mistake("zeros_behind_the_end", old="+ [-1]", new="+ [0]")
exercise.mistake("table_turned", old="said[-1]", new=":, said[-1]")
