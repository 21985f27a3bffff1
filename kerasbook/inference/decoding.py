"""Texts made symbol by symbol, from a model that gives logits for each next one; NumPy alone."""

from __future__ import annotations

from collections.abc import Callable

from kerasbook.data.cmudict import END, PAD, START

import numpy as np

FLOOR = -1e30  # the logarithm of no probability at all


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Returns log p (…, classes) of logits (…, classes)."""
    logits = np.asarray(logits, np.float64)
    logits = logits - logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Returns p (…, classes) of logits (…, classes)."""
    return np.exp(log_softmax(logits))


def beam_search(
    model: Callable[..., np.ndarray], source: np.ndarray, longest: int, beams: int
) -> list[tuple[list[int], float]]:
    """Returns up to `beams` answers to one source (n,), the likeliest first, with their p.

    model: (source (k, n), said (k, longest)) → logits (k, longest, symbols), each of the next one.
    An answer is without START and END. It is chapter 6's search, for one example.
    """
    sources = np.repeat(source[np.newaxis], beams, axis=0)
    said = np.full((beams, longest + 1), PAD, np.int32)
    said[:, 0] = START
    scores = np.full(beams, FLOOR)
    scores[0] = 0  # all are equal at first, so one of them counts
    ended = np.zeros(beams, bool)
    for place in range(longest):
        steps = log_softmax(model(sources, said[:, :-1])[:, place])
        steps[ended] = FLOOR
        steps[ended, PAD] = 0  # behind the end padding is certain
        totals = (scores[:, np.newaxis] + steps).ravel()
        best = np.argsort(-totals, kind="stable")[:beams]
        scores, rows, symbols = totals[best], best // steps.shape[1], best % steps.shape[1]
        said, ended = said[rows], ended[rows] | (symbols == END)
        said[:, place + 1] = symbols
        if ended.all():
            break
    found = zip(said[:, 1:], np.exp(scores))
    return [([int(n) for n in row if n not in (PAD, END)], float(p)) for row, p in found if p > 0]


def go_on(
    model: Callable[..., np.ndarray],
    text: np.ndarray,
    count: int,
    window: int,
    temperature: float,
    seed: int,
) -> list[int]:
    """Returns `count` symbols after the text (n,), drawn one by one; temperature 0 is greedy.

    model: symbols (1, window) → logits (1, window, symbols). It looks back only, so that zeros
    behind a short text change nothing before them.
    """
    random = np.random.default_rng(seed)
    symbols = [int(number) for number in text]
    for _ in range(count):
        seen = symbols[-window:]
        x = np.zeros((1, window), np.int32)
        x[0, : len(seen)] = seen
        logits = model(x)[0, len(seen) - 1]
        if temperature == 0:
            symbols.append(int(logits.argmax()))
        else:
            p = softmax(logits / temperature)
            symbols.append(int(random.choice(len(p), p=p / p.sum())))
    return symbols[len(text) :]
