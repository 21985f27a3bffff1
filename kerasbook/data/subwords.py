"""Subwords: text as numbers of pieces of words, so that no word is unknown.

    >>> pieces = make_pieces(["low lower lowest"] * 5, size=20)
    >>> split_pieces("lowers", pieces)
    [' lower', 's']

A common word is one piece, a rare one several, and any word can be made of single characters. The
pieces are made by byte-pair encoding (Sennrich and others 2016, arXiv:1508.07909), here of
characters: begin with these, and again and again make one piece of the commonest pair of
neighbours. A piece that begins a word has the space before it, so that the text is the pieces, one
behind the other.
"""

from __future__ import annotations

import collections
import heapq
import itertools
import re
from collections.abc import Callable, Iterable, Sequence

from kerasbook.data.cmudict import END, PAD, START, padded
from kerasbook.data.splits import DataError, Part

UNKNOWN = 3  # a character that the training part does not have
SPECIAL = ("", "<start>", "<end>", "<unknown>")  # pieces number 0 to 3
WORD = re.compile(r" ?[^\W_]+| ?(?:[^\w\s]|_)+")  # letters and digits, or signs; with their space


def split_words(text: str) -> list[str]:
    """Returns words and signs of a text, each with the space before it, if there was one."""
    return WORD.findall(" " + " ".join(text.split()))


def make_pieces(texts: Iterable[str], size: int) -> tuple[str, ...]:
    """Returns `size` pieces: the four SPECIAL ones, all characters, then pairs in their order.

    texts: those of the training part alone; few of them make fewer pieces. A piece does not reach
    from one word into the next. Of pairs that are equally common, the first in the alphabet is
    taken.

    Raises:
        DataError: the size has no room for the characters.
    """
    counts = collections.Counter(word for text in texts for word in split_words(text))
    pieces = dict.fromkeys((*SPECIAL, *sorted(set("".join(counts)))))
    words = [list(word) for word in counts]
    return join_commonest(words, list(counts.values()), pieces, size)


def join_commonest(
    words: list[list[str]],
    times: Sequence[int],
    pieces: Iterable[str],
    size: int,
    glue: Callable[[str, str], str] = str.__add__,
) -> tuple[str, ...]:
    """Returns the pieces and, up to `size`, those made of the commonest pairs, in their order.

    words: the parts of each word, which are joined in place.  times: how often each word occurs.
    glue: what a pair becomes.

    Raises:
        DataError: the size has no room for the pieces that are there.
    """
    pieces = dict.fromkeys(pieces)
    if size < len(pieces):
        raise DataError(f"size is {size}, but there are {len(pieces)} characters: take more.")
    how_often, found_in = collections.Counter(), collections.defaultdict(set)
    for number, word in enumerate(words):
        for pair in itertools.pairwise(word):
            how_often[pair] += times[number]
            found_in[pair].add(number)
    queue = [(-count, pair) for pair, count in how_often.items()]
    heapq.heapify(queue)
    while len(pieces) < size and queue:
        count, pair = heapq.heappop(queue)
        if -count != how_often[pair]:  # it has changed since it was put there
            continue
        pieces[glue(*pair)] = None
        changed = collections.Counter()
        for number in found_in.pop(pair):
            word = words[number]
            for old in itertools.pairwise(word):
                changed[old] -= times[number]
            word[:] = join(word, pair, glue)
            for new in itertools.pairwise(word):
                changed[new] += times[number]
                found_in[new].add(number)
        for other, difference in changed.items():
            how_often[other] += difference
            if difference and how_often[other] > 0:
                heapq.heappush(queue, (-how_often[other], other))
    return tuple(pieces)


def join(
    word: Sequence[str], pair: tuple[str, str], glue: Callable[[str, str], str] = str.__add__
) -> list[str]:
    """Returns the pieces of a word, with every such pair of neighbours made one, from the left."""
    joined = []
    for piece in word:
        if joined and (joined[-1], piece) == pair:
            joined[-1] = glue(*pair)
        else:
            joined.append(piece)
    return joined


def split_pieces(text: str, pieces: Sequence[str]) -> list[str]:
    """Returns the text cut into pieces; a character that is none of them stands by itself."""
    rank = {piece: place for place, piece in enumerate(pieces)}
    return [piece for word in split_words(text) for piece in split_word(word, rank)]


def split_word(word: str, rank: dict[str, int]) -> list[str]:
    """Returns the pieces of a word: the pair whose piece was made first is joined first."""
    parts = list(word)
    while len(parts) > 1:
        pairs = list(itertools.pairwise(parts))
        pair = min(pairs, key=lambda pair: rank.get("".join(pair), len(rank)))
        if "".join(pair) not in rank:
            break
        parts = join(parts, pair)
    return parts


def encode(texts: Sequence[str], pieces: Sequence[str]) -> list[list[int]]:
    """Returns the numbers of the pieces of each text; UNKNOWN for a strange character."""
    rank = {piece: place for place, piece in enumerate(pieces)}
    known: dict[str, list[int]] = {}  # most words occur many times

    def numbers(word: str) -> list[int]:
        if word not in known:
            known[word] = [rank.get(piece, UNKNOWN) for piece in split_word(word, rank)]
        return known[word]

    return [[number for word in split_words(text) for number in numbers(word)] for text in texts]


def decode(numbers: Iterable[int], pieces: Sequence[str]) -> str:
    """Returns the text of numbers up to END, with � for UNKNOWN, without padding and START."""
    text = ""
    for number in numbers:
        if number == END:
            break
        text += {PAD: "", START: "", UNKNOWN: "�"}.get(int(number), pieces[number])
    return text.strip()


def encode_pairs(pairs: Sequence[tuple[str, str]], pieces: Sequence[str], longest: int) -> Part:
    """Returns pairs (text, its translation) as a Part for an encoder–decoder.

    x is (source (n, longest), before (n, longest)), y is (n, longest), all int32 and PAD, 0, at
    the end. `before` is the translation after START, y the same without START and with END. Pairs
    with `longest` pieces or more on a side are left out.

    Raises:
        DataError: none is shorter.
    """
    sources, targets = (encode(side, pieces) for side in zip(*pairs))
    kept = [(a, b) for a, b in zip(sources, targets) if max(len(a), len(b)) < longest]
    if not kept:
        raise DataError(f"no pair of texts is shorter than {longest} pieces")
    source = padded([a for a, _ in kept], longest)
    before = padded([[START, *b] for _, b in kept], longest)
    return Part((source, before), padded([[*b, END] for _, b in kept], longest))
