"""Masking whole words for BERT: 15 %, 80-10-10, anew in each epoch."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=7,
    minutes=20,
    difficulty=2,
    points=3,
    outputs=("covered", "labels"),
    hints=[
        "A word is chosen by the draw at its FIRST piece. Where does the word of a place begin?",
        "np.maximum.accumulate(np.where(continues, 0, arange(time)), axis=1) is the place of the "
        "first piece. Special pieces are never chosen, whatever their draw.",
        "Per epoch: chosen = take_along_axis(draw, first, 1) < share, and not special; covered "
        "= mask where lot < 0.8, others where lot ≥ 0.9, else the piece; labels = pieces where "
        "chosen, else -100.",
    ],
)


@exercise.stub
def cover_words(pieces, continues, special, mask, draws, lots, others, share):
    """Cover whole words for several epochs, with random numbers that are given.

    In each epoch a word is chosen if the draw at its first piece is below `share`; then all its
    pieces are. A piece that continues a word is marked in `continues`. Pieces whose number is in
    `special` are never chosen. At each chosen place the epoch's lot decides: below 0.8 the piece
    becomes `mask`; from 0.9 on the one in `others`; between them it stays. Each epoch begins with
    the pieces as they are.

    The labels are the pieces at all chosen places, also where nothing has changed, and -100
    elsewhere.

    Practises: chapter 7, "Cover words, and do it right".

    Args:
        pieces: (n, time) int array.
        continues: (n, time) bool array; False at the first place and at special pieces.
        special: (k,) int array.
        mask: a whole number.
        draws, lots: (epochs, n, time) float64 arrays from 0 to 1.
        others: (epochs, n, time) int array.
        share: a number from 0 to 1.

    Returns:
        covered and labels, both (epochs, n, time), int32 or int64.
    """
    raise NotImplementedError


def drawn_case(random, epochs, n, time, share):
    """Returns the inputs of a case."""
    pieces = random.integers(5, 50, (n, time))
    pieces[:, 0], pieces[:, -1] = 2, 3
    continues = random.random((n, time)) < 0.4
    continues[:, [0, 1, -1]] = False
    pieces[-1, time // 2 :], continues[-1, time // 2 :] = 0, False
    size = (epochs, n, time)
    return {
        "pieces": pieces,
        "continues": continues,
        "special": np.array([0, 2, 3]),
        "mask": 4,
        "draws": random.random(size),
        "lots": random.random(size),
        "others": random.integers(5, 50, size),
        "share": share,
    }


@exercise.public
def examples(random):
    inputs = drawn_case(random, 1, 1, 8, 0.15)
    inputs["pieces"] = np.array([[2, 10, 11, 12, 13, 14, 3, 0]])
    inputs["continues"] = np.array([[0, 0, 0, 1, 0, 0, 0, 0]], bool)
    inputs["draws"] = np.array([[[0.9, 0.1, 0.1, 0.9, 0.9, 0.1, 0.1, 0.1]]])
    inputs["lots"] = np.array([[[0.5, 0.1, 0.5, 0.95, 0.95, 0.85, 0.1, 0.1]]])
    yield Case("three words, one of two pieces", inputs)


@exercise.hidden
def drawn(random):
    yield Case("two epochs", drawn_case(random, 2, 4, 20, 0.15), unchanged=True)
    yield Case("many chosen", drawn_case(random, 3, 3, 12, 0.6))
    yield Case("none chosen", drawn_case(random, 1, 2, 9, 0.0))
    long = drawn_case(random, 2, 2, 16, 0.4)
    long["continues"][0, 2:9] = True
    yield Case("a long word", long)
    special = drawn_case(random, 2, 3, 14, 0.7)
    special["special"], special["pieces"][1, 5] = np.array([0, 2, 3, 7]), 7
    special["continues"][1, 5:7] = False
    yield Case("another special piece", special)


@exercise.reference
def solution(pieces, continues, special, mask, draws, lots, others, share):
    first = np.maximum.accumulate(np.where(continues, 0, np.arange(pieces.shape[1])), axis=1)
    ordinary = ~np.isin(pieces, special)
    covered, labels = [], []
    for draw, lot, other in zip(draws, lots, others):
        chosen = (np.take_along_axis(draw, first, axis=1) < share) & ordinary
        new = np.where(lot < 0.8, mask, np.where(lot < 0.9, pieces, other))
        covered.append(np.where(chosen, new, pieces))
        labels.append(np.where(chosen, pieces, -100))
    return np.stack(covered), np.stack(labels)


@exercise.right
def place_by_place(pieces, continues, special, mask, draws, lots, others, share):
    covered, labels = np.empty(draws.shape, "int64"), np.full(draws.shape, -100)
    for epoch, i, t in np.ndindex(*draws.shape):
        piece = pieces[i, t]
        if not continues[i, t]:
            chosen = draws[epoch, i, t] < share
        covered[epoch, i, t] = piece
        if chosen and piece not in special:
            labels[epoch, i, t] = piece
            if lots[epoch, i, t] < 0.8:
                covered[epoch, i, t] = mask
            elif lots[epoch, i, t] >= 0.9:
                covered[epoch, i, t] = others[epoch, i, t]
    return covered, labels


@exercise.right
def spread_by_steps(pieces, continues, special, mask, draws, lots, others, share):
    begun = draws < share
    for t in range(1, pieces.shape[1]):
        begun[:, :, t] = np.where(continues[:, t], begun[:, :, t - 1], begun[:, :, t])
    begun &= np.all(pieces[..., np.newaxis] != special, axis=-1)
    covered = np.broadcast_to(pieces, draws.shape).copy()
    covered[begun & (lots < 0.8)] = mask
    changed = begun & (lots >= 0.9)
    covered[changed] = others[changed]
    return covered, np.where(begun, pieces, -100)


@exercise.right
def with_tensors(pieces, continues, special, mask, draws, lots, others, share):
    time = pieces.shape[1]
    starts = tf.where(continues, 0, tf.range(time)[tf.newaxis])
    first = tf.reduce_max(
        tf.where(tf.range(time)[:, tf.newaxis] >= tf.range(time), starts[:, tf.newaxis], 0), axis=-1
    )
    of_word = tf.stack([tf.gather(draw, first, batch_dims=1) for draw in draws])
    chosen = (of_word < share) & ~tf.reduce_any(pieces[..., tf.newaxis] == special, axis=-1)
    same = tf.broadcast_to(tf.constant(pieces), draws.shape)
    new = tf.where(lots < 0.8, tf.cast(mask, same.dtype), tf.where(lots < 0.9, same, others))
    return tf.where(chosen, new, same), tf.where(chosen, same, -100)


exercise.mistake(
    "special_ones_too",
    "Special pieces and padding are chosen as well. They are never covered and never asked for.",
    old=" & ordinary",
    new="",
)
exercise.mistake(
    "all_become_mask",
    "Every chosen piece becomes the mask. One in ten gets another piece, one in ten stays.",
    old="np.where(lot < 0.8, mask, np.where(lot < 0.9, pieces, other))",
    new="np.full_like(pieces, mask)",
)
exercise.mistake(
    "labels_everywhere",
    "The labels stand at all places. Then the loss is mostly over pieces that only have to be "
    "copied; -100 belongs where nothing was chosen.",
    old="np.where(chosen, pieces, -100)",
    new="pieces",
)
exercise.mistake(
    "once_for_all_epochs",
    "The places of the first epoch are used in all. Draw anew in each.",
    old="        chosen = (np.take_along_axis(draw,",
    new="        chosen = (np.take_along_axis(draws[0],",
)
exercise.mistake(
    "labels_only_where_changed",
    "A chosen piece that stays is asked for, too: the network cannot know which of the plain ones "
    "will be.",
    old="np.where(chosen, pieces, -100)",
    new="np.where(chosen & (new != pieces), pieces, -100)",
)
exercise.mistake(
    "piece_by_piece",
    "Each piece is chosen by its own draw. A word is chosen as a whole, by the draw at its first.",
    old="np.take_along_axis(draw, first, axis=1)",
    new="draw",
)
exercise.mistake(
    "covered_again",
    "An epoch begins with what the one before has covered. It begins with the pieces as they are.",
    old="        covered.append(np.where(chosen, new, pieces))\n",
    new="        covered.append(np.where(chosen, new, covered[-1] if covered else pieces))\n",
)
exercise.mistake(
    "answers_covered", old="np.where(chosen, pieces, -100)", new="np.where(chosen, new, -100)"
)
exercise.mistake("share_of_the_others", old="< share", new="<= 1 - share")
exercise.mistake("ten_per_cent_forgotten", old="np.where(lot < 0.9, pieces, other)", new="other")
