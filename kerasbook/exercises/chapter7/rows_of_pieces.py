"""Rows for BERT: [CLS], pieces, [SEP], padding."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=7,
    minutes=5,
    difficulty=1,
    points=1,
    outputs=("rows", "mask"),
    hints=[
        "How many pieces of a text fit into a row of this length, beside the two special ones?",
        "Cut from the front: numbers[-room:] are the last ones. Mind a text of no pieces at all.",
        "For each text: kept = [start, *text[max(0, len(text) - room):], end], with room = length "
        "- 2; rows[i, :len(kept)] = kept; the mask is True at these places.",
    ],
)


@exercise.stub
def rows_of_pieces(texts, length, start, end, padding):
    """Lay texts out as rows for BERT.

    A row is `start`, the numbers of the text's pieces, `end`, then `padding` up to the length. Of a
    text that is too long the LAST pieces are kept, as many as fit: a review says at its end what
    it means. The padding may be any number, and the texts may have that number as well.

    Practises: chapter 7, "What BERT reads".

    Args:
        texts: list of lists of whole numbers, some of which may be empty.
        length: the length of a row, 3 or more.
        start, end, padding: whole numbers.

    Returns:
        The rows, (texts, length) int32 or int64, and the mask of the same shape, bool: True where
        there is no padding.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    texts = [[7, 8], [4, 5, 6, 7, 8]]
    yield Case("two texts", {"texts": texts, "length": 5, "start": 2, "end": 3, "padding": 0})


@exercise.hidden
def drawn(random):
    special = {"start": 101, "end": 102, "padding": 0}
    texts = [random.integers(5, 90, n).tolist() for n in (3, 9, 6, 1)]
    yield Case("texts of many lengths", {"texts": texts, "length": 8, **special}, unchanged=True)
    yield Case("one has no pieces", {"texts": [texts[0], []], "length": 6, **special})
    others = {"start": 1, "end": 2, "padding": 9}
    texts = [[9, 4], [3, 9, 5, 9]]
    yield Case("the padding's number in a text", {"texts": texts, "length": 5, **others})
    yield Case("room for one", {"texts": [[5, 8, 7, 5]], "length": 3, **special})


@exercise.reference
def solution(texts, length, start, end, padding):
    rows = np.full((len(texts), length), padding)
    mask = np.zeros(rows.shape, bool)
    for row, seen, text in zip(rows, mask, texts):
        kept = [start, *text[max(0, len(text) - (length - 2)) :], end]
        row[: len(kept)] = kept
        seen[: len(kept)] = True
    return rows, mask


@exercise.right
def by_lists(texts, length, start, end, padding):
    rows = [[start, *list(text)[::-1][: length - 2][::-1], end] for text in texts]
    counts = np.array([len(row) for row in rows])
    rows = [row + [padding] * (length - len(row)) for row in rows]
    return np.array(rows, "int64"), np.arange(length) < counts[:, np.newaxis]


@exercise.right
def with_pad(texts, length, start, end, padding):
    rows, mask = [], []
    for text in texts:
        first = max(0, len(text) - length + 2)
        row = np.concatenate([[start], text[first:], [end]]).astype("int64")
        rows.append(np.pad(row, (0, length - len(row)), constant_values=padding))
        mask.append(np.pad(np.ones(len(row), bool), (0, length - len(row))))
    return np.stack(rows), np.stack(mask)


@exercise.right
def with_tensors(texts, length, start, end, padding):
    kept = [[start, *text[max(0, len(text) - length + 2) :], end] for text in texts]
    ragged = tf.ragged.constant(kept, dtype=tf.int64)
    mask = tf.ones_like(ragged).to_tensor(0, shape=(len(texts), length))
    rows = ragged.to_tensor(padding, shape=(len(texts), length))
    return rows, tf.cast(mask, tf.bool)


exercise.mistake(
    "the_first_ones",
    "The first pieces of a long text are kept here. The last ones are asked for.",
    old="text[max(0, len(text) - (length - 2)) :]",
    new="text[: length - 2]",
)
exercise.mistake(
    "mask_by_number",
    "A place counts as padding wherever its number is that of the padding. The text may have this "
    "number, too: the mask must come from the lengths.",
    old="    return rows, mask",
    new="    return rows, rows != padding",
)
exercise.mistake(
    "end_at_the_end",
    "The end belongs right behind the text, before the padding.",
    old="        row[: len(kept)] = kept\n",
    new="        row[: len(kept) - 1], row[-1] = kept[:-1], end\n",
)
exercise.mistake(
    "room_forgotten",
    "Start and end take two places of the row.",
    old="kept = [start, *text[max(0, len(text) - (length - 2)) :], end]",
    new="kept = [start, *text[max(0, len(text) - length) :], end][:length]",
)
exercise.mistake(
    "minus_nothing",
    old="text[max(0, len(text) - (length - 2)) :]",
    new="text[len(text) - (length - 2) :]",
)
exercise.mistake("specials_not_seen", old="seen[: len(kept)]", new="seen[1 : len(kept) - 1]")
exercise.mistake("no_end", old=" :], end]", new=" :]]")
exercise.mistake(
    "zeros", old="np.full((len(texts), length), padding)", new="np.zeros((len(texts), length), int)"
)
