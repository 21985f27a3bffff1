"""One merge of byte-pair encoding."""

from kerasbook.exercises import Case, Exercise

import numpy as np

exercise = Exercise(
    chapter=6,
    minutes=5,
    difficulty=1,
    points=1,
    hints=[
        "Go through the numbers from the left with a place of your own: it moves on by two where "
        "the pair stands, else by one.",
        "The last number has no neighbour to its right: ask for it before you compare.",
        "while i < len(ids): if the pair stands at i and i + 1, append new and add 2 to i; else "
        "append ids[i] and add 1.",
    ],
)


@exercise.stub
def merge_ids(ids, pair, new):
    """One step of byte-pair encoding, on numbers: every such pair of neighbours becomes one.

    From the left: where ids has pair[0] and right after it pair[1], both are replaced by `new`.
    A number belongs to one pair only, so that 7 7 7 with the pair (7, 7) becomes new 7.

    Practises: chapter 6, "What is a symbol?".

    Args:
        ids: (n,) int array; n is 1 or more.
        pair: (2,) int array.
        new: the number of the new piece; it is not in ids.

    Returns:
        (m,) int array, int32 or int64, m at most n.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    pair = np.array([1, 2])
    yield Case("twice", {"ids": np.array([1, 2, 3, 1, 2]), "pair": pair, "new": 9})
    yield Case("not there", {"ids": np.array([2, 1, 3]), "pair": pair, "new": 9})


@exercise.hidden
def drawn(random):
    for count in (8, 20, 50):
        ids = random.integers(0, 3, count)
        pair = random.permutation(3)[:2]
        yield Case(f"{count} numbers", {"ids": ids, "pair": pair, "new": 7}, unchanged=True)
    same = {"ids": np.array([7, 7, 7, 1, 7, 7, 7, 7]), "pair": np.array([7, 7]), "new": 30}
    yield Case("a pair of the same number", same)
    yield Case("one number", {"ids": np.array([4]), "pair": np.array([4, 4]), "new": 30})
    mixed = {"ids": np.array([1, 2, 2, 1, 1, 2, 1]), "pair": np.array([1, 2]), "new": 5}
    yield Case("both orders", mixed)


@exercise.reference
def solution(ids, pair, new):
    merged, i = [], 0
    while i < len(ids):
        if i + 1 < len(ids) and ids[i] == pair[0] and ids[i + 1] == pair[1]:
            merged.append(new)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return np.array(merged)


@exercise.right
def with_a_stack(ids, pair, new):
    merged, free = [], False
    for number in ids:
        if free and merged[-1] == pair[0] and number == pair[1]:
            merged[-1], free = new, False
        else:
            merged.append(int(number))
            free = True
    return np.array(merged)


@exercise.right
def with_text(ids, pair, new):
    text = "".join(chr(1000 + number) for number in ids)
    old = "".join(chr(1000 + number) for number in pair)
    return np.array([ord(letter) - 1000 for letter in text.replace(old, chr(1000 + new))])


@exercise.right
def with_numpy(ids, pair, new):
    starts = np.flatnonzero((ids[:-1] == pair[0]) & (ids[1:] == pair[1]))
    kept, last = [], -2
    for start in starts:
        if start > last + 1:
            kept.append(start)
            last = start
    merged = ids.copy()
    merged[kept] = new
    return np.delete(merged, np.array(kept, int) + 1)


@exercise.wrong(
    "In 7 7 7 the middle number belongs to two of your pairs. After a pair go on behind it, by two."
)
def overlapping(ids, pair, new):
    starts = np.flatnonzero((ids[:-1] == pair[0]) & (ids[1:] == pair[1]))
    merged = ids.copy()
    merged[starts] = new
    return np.delete(merged, starts + 1)


@exercise.wrong("Only the first pair is merged; go on to the end.")
def first_only(ids, pair, new):
    for i in range(len(ids) - 1):
        if ids[i] == pair[0] and ids[i + 1] == pair[1]:
            return np.concatenate([ids[:i], [new], ids[i + 2 :]])
    return ids


exercise.mistake(
    "either_order",
    "The order counts: pair[0] first and pair[1] right after it.",
    old="ids[i] == pair[0] and ids[i + 1] == pair[1]",
    new="sorted(ids[i : i + 2]) == sorted(pair)",
)


@exercise.wrong("The last number is lost where it is not part of a pair.")
def last_lost(ids, pair, new):
    merged, i = [], 0
    while i < len(ids) - 1:
        if ids[i] == pair[0] and ids[i + 1] == pair[1]:
            merged.append(new)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return np.array(merged, int)


@exercise.wrong("Each pair leaves two numbers behind: the new one replaces both.")
def second_stays(ids, pair, new):
    starts = np.flatnonzero((ids[:-1] == pair[0]) & (ids[1:] == pair[1]))
    merged = ids.copy()
    merged[starts] = new
    return merged


@exercise.wrong("Pairs are taken from the right: 7 7 7 becomes 7 new, not new 7.")
def from_the_right(ids, pair, new):
    merged, i = [], len(ids) - 1
    while i >= 0:
        if i > 0 and ids[i - 1] == pair[0] and ids[i] == pair[1]:
            merged.append(new)
            i -= 2
        else:
            merged.append(ids[i])
            i -= 1
    return np.array(merged[::-1])


@exercise.wrong()
def every_first(ids, pair, new):
    return np.where(ids == pair[0], new, ids)


@exercise.wrong()
def second_dropped_everywhere(ids, pair, new):
    merged = ids[ids != pair[1]]
    return np.where(merged == pair[0], new, merged)


@exercise.wrong()
def strings(ids, pair, new):
    text = " ".join(map(str, ids))
    return np.array(text.replace(f"{pair[0]} {pair[1]}", str(new)).split())
