"""What the user gave, as examples: arrays in the shapes that the model reads."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from kerasbook.data import subwords, text, wordpieces
from kerasbook.data.cmudict import MOST_LETTERS, encode_letters, padded
from kerasbook.data.inputs import Inputs
from kerasbook.data.pictures import as_array, edge_colour, open_picture
from kerasbook.data.shakespeare import UNKNOWN, encode_text
from kerasbook.data.splits import standardised
from kerasbook.data.tables import columns_of, decoded, read_rows, read_text
from kerasbook.inference.saved import RunError

import numpy as np
from PIL import ImageOps

STANDARD_INPUT = "-"
BRIGHTER = 100  # levels of 255 by which an edge is another one than those of the training part


class Example(NamedTuple):
    """One thing to answer for: what it is called, its array without a batch axis, a remark."""

    name: str
    x: np.ndarray
    note: str = ""


def read(inputs: Inputs, words: Sequence[str], invert: bool = False) -> list[Example]:
    """Returns the examples that the user's words mean; `invert` is for pictures alone.

    Raises:
        RunError, DataError: one cannot be used; the message has the remedy.
    """
    if not words:
        raise RunError(f"nothing was asked: name {WANTED[inputs.kind]}; `-` is standard input")
    if inputs.kind == "picture":
        return [example for word in words for example in pictures(inputs, word, invert)]
    if invert:
        raise RunError(f"--invert is for pictures, and this run reads {WANTED[inputs.kind]}")
    return [example for word in words for example in READERS[inputs.kind](inputs, word)]


def rows(inputs: Inputs, word: str) -> Iterator[Example]:
    """Yields the rows of a CSV file, of standard input, or the row that the word is."""
    content, name = file_or_word(word)
    cells = read_rows(content, name)
    values = columns_of(cells, names_of(inputs, inputs.shapes[0][-1]), name)
    for number, row in enumerate(scaled(inputs, values), 1):
        yield Example(name if len(values) == 1 else f"{name}, row {number}", row)


def steps(inputs: Inputs, word: str) -> Iterator[Example]:
    """Yields the steps of a CSV file, or of standard input: a row for each."""
    longest, channels = inputs.shapes[0]
    content, name = file_or_word(word, must_be_file=True)
    values = columns_of(read_rows(content, name), names_of(inputs, channels), name)
    if len(values) > longest or (len(values) < longest and not inputs.padded):
        wanted = f"1 to {longest}" if inputs.padded else f"exactly {longest}"
        raise RunError(
            f"{name} has {len(values)} rows, the model reads {wanted}, one for each step"
        )
    x = np.zeros((longest, channels), np.float32)
    x[: len(values)] = scaled(inputs, values)
    yield Example(name, x)


def pictures(inputs: Inputs, word: str, invert: bool) -> Iterator[Example]:
    """Yields the picture of a file or of standard input, with bright for dark if it is inverted."""
    if word == STANDARD_INPUT:
        image = open_picture(sys.stdin.buffer.read(), "standard input")
    else:
        image = open_picture(Path(word), word)
    image = ImageOps.invert(image) if invert else image
    shape, notes = inputs.shapes[0], []
    if image.size != (shape[1], shape[0]):
        notes.append(f"{image.width} × {image.height} made {shape[1]} × {shape[0]}")
    edge = float(np.mean(edge_colour(image)))
    if inputs.edge is not None and abs(edge - inputs.edge) > BRIGHTER:
        here, there = ("bright", "dark") if edge > inputs.edge else ("dark", "bright")
        notes.append(f"its edge is {here}, that of the training pictures {there}: --invert?")
    x = scaled(inputs, as_array(image, shape).astype(np.float32))
    yield Example(named(word), x, "; ".join(notes))


def sentences(inputs: Inputs, word: str) -> Iterator[Example]:
    """Yields the sentence, or each line of standard input, as the numbers of its words."""
    (length,) = inputs.shapes[0]
    known = set(inputs.vocabulary or ())
    if known.issuperset(wordpieces.SPECIAL):
        yield from sentences_in_pieces(inputs, word)
        return
    for line in lines_of(word):
        words = text.split_words(line)
        if not words:
            raise RunError(f"there is no word in {line!r}: give a sentence")
        notes = []
        if strange := [each for each in words[:length] if each not in known]:
            notes.append(f"not known: {', '.join(dict.fromkeys(strange))}")
        if len(words) > length:
            notes.append(f"only the first {length} of {len(words)} words are read")
        x = text.encode([words], inputs.vocabulary or (), length)[0]
        yield Example(line, x, "; ".join(notes))


def sentences_in_pieces(inputs: Inputs, word: str) -> Iterator[Example]:
    """Yields the sentence, or each line of standard input, as the numbers of its word pieces."""
    (length,), pieces = inputs.shapes[0], inputs.vocabulary or []
    for line in lines_of(word):
        found = wordpieces.split_pieces(line, pieces)
        if not found:
            raise RunError(f"there is no word in {line!r}: give a sentence")
        notes = []
        if wordpieces.UNKNOWN in found:
            notes.append("a word of it cannot be made of the model's pieces")
        if len(found) > length - 2:
            notes.append(f"only the first {length - 2} of {len(found)} word pieces are read")
        yield Example(line, wordpieces.rows([line], pieces, length)[0], "; ".join(notes))


def beginnings(inputs: Inputs, word: str) -> Iterator[Example]:
    """Yields the text, or standard input, as the numbers of its characters."""
    beginning = read_standard_input() if word == STANDARD_INPUT else word
    if not beginning:
        raise RunError("there is no text to go on with: give at least one character")
    x = encode_text(beginning, inputs.classes or ())
    strange = sorted({c for c, number in zip(beginning, x) if number == UNKNOWN})
    yield Example(beginning, x, f"not known: {' '.join(map(repr, strange))}" if strange else "")


def words(inputs: Inputs, word: str) -> Iterator[Example]:
    """Yields the word, or each line of standard input, as the numbers of its letters."""
    for line in lines_of(word):
        yield Example(line, encode_letters([line.strip()])[0])


def verses(inputs: Inputs, word: str) -> Iterator[Example]:
    """Yields the sentence, or each line of standard input, as the numbers of its pieces."""
    longest = inputs.shapes[0][0]
    for line in lines_of(word):
        (numbers,) = subwords.encode([line], inputs.classes or ())
        if not 0 < len(numbers) < longest:
            many = f"{len(numbers)} pieces of words"
            raise RunError(f"{line[:40]!r} has {many}, the model reads 1 to {longest - 1}: cut it")
        yield Example(line, padded([numbers], longest)[0])


READERS: dict[str, Callable[[Inputs, str], Iterator[Example]]] = {
    "row": rows,
    "steps": steps,
    "sentence": sentences,
    "text": beginnings,
    "word": words,
    "verse": verses,
}
WANTED = {
    "row": "a row, as numbers with commas between, or a CSV file",
    "steps": "a CSV file, with a row for each step",
    "picture": "a picture's file",
    "sentence": "a sentence, in quotes",
    "text": "a text to go on with, in quotes",
    "word": f"a word of 2 to {MOST_LETTERS} letters",
    "verse": "a sentence to translate, in quotes",
}


# --- parts --------------------------------------------------------------------------------


def scaled(inputs: Inputs, values: np.ndarray) -> np.ndarray:
    """Returns (value - mean) / std, as the training part was scaled."""
    if inputs.mean is None or inputs.std is None:
        return values.astype(np.float32)
    return standardised(values, np.float32(inputs.mean), np.float32(inputs.std))


def names_of(inputs: Inputs, count: int) -> list[str]:
    """Returns the names of the columns; 1, 2, … where they have none."""
    return inputs.features or [str(number) for number in range(1, count + 1)]


def file_or_word(word: str, must_be_file: bool = False) -> tuple[str, str]:
    """Returns the content of a file or of standard input, or the word; and what to call it."""
    if word == STANDARD_INPUT:
        return read_standard_input(), named(word)
    if must_be_file or Path(word).suffix in (".csv", ".tsv", ".txt"):
        return read_text(Path(word)), word
    if not word.strip():
        raise RunError("an empty row cannot be read: give numbers, with commas between")
    return word, word


def lines_of(word: str) -> list[str]:
    """Returns the word itself, or the lines of standard input that are not empty."""
    if word != STANDARD_INPUT:
        return [word]
    return [line for line in read_standard_input().splitlines() if line.strip()]


def read_standard_input() -> str:
    """Returns what comes on standard input, in UTF-8.

    Raises:
        DataError: it is empty, or in another encoding.
    """
    return decoded(sys.stdin.buffer.read(), "standard input")


def named(word: str) -> str:
    """Returns how an input is called."""
    return "standard input" if word == STANDARD_INPUT else word
