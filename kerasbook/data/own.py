"""One's own data in place of a chapter's: a table, pictures, sentences, a text.

    >>> splits = load("table:houses.csv#price")  # doctest: +SKIP
    >>> splits = load("pictures:garments#32")  # doctest: +SKIP

The name says what is read, from where and, behind a #, the column that is to be predicted or the
size that all pictures get. Always the same rows make the test part, whatever the seed of the
training, and what occurs twice lies in one part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kerasbook.data import wordpieces
from kerasbook.data.pictures import as_array, open_picture
from kerasbook.data.shakespeare import encode_text, windows
from kerasbook.data.splits import DataError, Part, Splits, mean_and_std, standardised
from kerasbook.data.tables import is_number, numbers, read_rows, read_text
from kerasbook.data.text import TextSplits, encode, make_vocabulary, split_words

import numpy as np

SHARE = 0.1  # of validation, and of the test
SEED = 0
FEWEST_ROWS, FEWEST_OF_A_CLASS, FEWEST_CHARACTERS = 20, 5, 5_000
SIZES = (8, 256)  # pixels, least and most of a side
LONGEST_SENTENCE = 200  # words
LABELS, TEXTS = ("label", "class", "sentiment"), ("text", "sentence", "review")


def load_own(name: str, **options: Any) -> Splits:
    """Returns the data that a name means, as `table:houses.csv#price`.

    options: of what reads them, as `pieces` and `length` of `read_sentences`.

    Raises:
        DataError: they cannot be had; the message says what is wrong where, and what to do.
    """
    kind, _, place = name.partition(":")
    path, _, option = place.rpartition("#") if "#" in place else (place, "", "")
    return READERS[kind](Path(path), option, name, **options)


# --- a table ------------------------------------------------------------------------------


def read_table(path: Path, target: str, name: str) -> Splits:
    """Returns a table as x (n, features) float32, standardised, and y (n, 1) float32.

    The first row has the columns' names. The last column is predicted, or that named `target`.

    Raises:
        DataError: there is no such column, too few rows, or a cell holds no number.
    """
    columns, *rows = read_rows(read_text(path), str(path))
    check_columns(columns, rows, path)
    target = target or columns[-1]
    if target not in columns:
        known = ", ".join(columns)
        raise DataError(f"{path} has no column {target!r} to predict: it has {known}")
    table = numbers(rows, columns, str(path))
    place = columns.index(target)
    x, y = np.delete(table, place, axis=1), table[:, [place]]
    if np.ptp(y) == 0:
        raise DataError(f"{target!r} is {y[0, 0]:g} in all rows of {path}: name another --target")
    parts = cut(table)
    mean, std = mean_and_std(x[parts[0]])
    train, validation, test = (Part(standardised(x[rows], mean, std), y[rows]) for rows in parts)
    features = tuple(column for column in columns if column != target)
    facts = {"features": features, "mean": mean, "std": std}
    return Splits(train, validation, test, name, path.name, target, "own", **facts)


def check_columns(columns: Sequence[str], rows: Sequence, path: Path) -> None:
    """Checks that a table has names of columns, two of them at least, and rows enough.

    Raises:
        DataError: it has not.
    """
    if any(map(is_number, columns)) or not all(columns):
        raise DataError(f"the first row of {path} is to hold a name for every column: write them")
    if len(set(columns)) < len(columns):
        twice = next(column for column in columns if columns.count(column) > 1)
        raise DataError(f"{path} has two columns {twice!r}: name one of them otherwise")
    if len(columns) < 2:
        raise DataError(f"{path} has one column: two are needed, one to predict from and one to")
    check_count(len(rows), FEWEST_ROWS, f"{path} has", "rows")


# --- pictures -----------------------------------------------------------------------------


def read_pictures(folder: Path, size: str, name: str) -> Splits:
    """Returns a folder's pictures as x (n, height, width, channels) float32 and y (n,) int32.

    A folder in it is a class, and has its pictures. size: all become size × size.

    Raises:
        DataError: there are no such folders, too few pictures, or one of another size.
    """
    folders = class_folders(folder)
    images, y = [], []
    for label, each in enumerate(folders):
        paths = [path for path in sorted(each.iterdir()) if not path.name.startswith(".")]
        if inner := next((path for path in paths if path.is_dir()), None):
            raise DataError(f"{each} holds the folder {inner.name}: name a folder of classes")
        check_count(len(paths), FEWEST_OF_A_CLASS, f"class {each.name} has", "pictures")
        images += [(path, open_picture(path, str(path))) for path in paths]
        y += [label] * len(paths)
    channels = 1 if all(image.mode == "L" for _, image in images) else 3
    height, width = (int(size),) * 2 if size else common_size(images)
    x = np.stack([as_array(image, (height, width, channels)) for _, image in images])
    y, classes = np.array(y, np.int32), tuple(each.name for each in folders)
    parts = cut(x.reshape(len(x), -1), y, classes)
    mean, std = mean_and_std(x[parts[0]])
    train, validation, test = (Part(standardised(x[rows], mean, std), y[rows]) for rows in parts)
    facts = {"classes": classes, "mean": mean, "std": std}
    return Splits(train, validation, test, name, folder.name, "class", "own", **facts)


def class_folders(folder: Path) -> list[Path]:
    """Returns the folders of the classes, in the order of the alphabet.

    Raises:
        DataError: there are fewer than two.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}: name one with a folder for each class")
    found = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if len(found) < 2:
        have = f"{folder} holds {len(found) or 'no'} folder{'s' if not found else ''}"
        raise DataError(f"{have}: put the pictures of each class into a folder of its own there")
    return found


def common_size(images: Sequence[tuple[Path, Any]]) -> tuple[int, int]:
    """Returns (height, width) of all pictures.

    Raises:
        DataError: one has another size, or they are too small or too large.
    """
    (first, image), *others = images
    remedy = "--size 32 makes all of them 32 × 32"
    for path, other in others:
        if other.size != image.size:
            sizes = [f"{p} is {i.width} × {i.height}" for p, i in ((first, image), (path, other))]
            raise DataError(f"{' and '.join(sizes)}: {remedy}")
    if not SIZES[0] <= min(image.size) <= max(image.size) <= SIZES[1]:
        allowed = f"sides of {SIZES[0]} to {SIZES[1]} pixels can be read"
        raise DataError(f"{first} is {image.width} × {image.height}, {allowed}: {remedy}")
    return image.height, image.width


# --- sentences ----------------------------------------------------------------------------


def read_sentences(
    path: Path, option: str, name: str, pieces: Sequence[str] = (), length: int = 0
) -> TextSplits:
    """Returns sentences of two classes as x (n, length) int32, word numbers, and y (n,) int32.

    pieces: word pieces, as of BERT; then x is that of `wordpieces.rows`, of this length.

    A line is a label, a tab and a sentence; or the file is a CSV with a column `label` and a
    column `text`.

    Raises:
        DataError: there are other classes than two, too few sentences, or one without words.
    """
    labels, texts = zip(*labelled(path))
    classes = tuple(sorted(set(labels)))
    if len(classes) != 2:
        shown = ", ".join(classes[:5]) + (" …" if len(classes) > 5 else "")
        raise DataError(f"{path} has {len(classes)} classes ({shown}): two can be told apart")
    words = [split_words(text) for text in texts]
    for number, (text, each) in enumerate(zip(texts, words), 1):
        if not each:
            raise DataError(f"sentence {number} of {path} has no word ({text[:40]!r}): take it out")
    y = np.array([classes.index(label) for label in labels], np.int32)
    parts = cut(np.array([" ".join(each) for each in words]), y, classes)
    if pieces:
        x = wordpieces.rows(texts, pieces, length)
        three, facts = (Part(x[rows], y[rows]) for rows in parts), {"classes": classes}
        facts |= {"vocabulary": tuple(pieces)}
        return wordpieces.PieceSplits(*three, name, path.name, "class", "own", **facts)
    lengths = [len(words[row]) for row in parts[0]]
    length = int(np.clip(np.percentile(lengths, 99), 5, LONGEST_SENTENCE))
    vocabulary = make_vocabulary((words[row] for row in parts[0]), 10_000)
    train, validation, test = (
        Part(encode([words[row] for row in rows], vocabulary, length), y[rows]) for rows in parts
    )
    facts = {"classes": classes, "vocabulary": vocabulary}
    return TextSplits(train, validation, test, name, path.name, "class", "own", **facts)


def labelled(path: Path) -> list[tuple[str, str]]:
    """Returns (label, sentence) of every line.

    Raises:
        DataError: a line has no label, or the columns have other names.
    """
    text = read_text(path)
    if "\t" in text.strip().splitlines()[0] or path.suffix == ".tsv":
        lines = [line.partition("\t") for line in text.splitlines() if line.strip()]
        pairs = [(label.strip(), sentence) for label, _, sentence in lines]
    else:
        names, *rows = read_rows(text, str(path))
        label, sentence = (column_among(known, names, path) for known in (LABELS, TEXTS))
        pairs = [(row[label], row[sentence]) for row in rows]
    check_count(len(pairs), 2 * FEWEST_OF_A_CLASS, f"{path} has", "sentences")
    for number, (label, sentence) in enumerate(pairs, 1):
        if not label or not sentence.strip():
            missing = "sentence" if label else "label"
            raise DataError(f"row {number} of {path} has no {missing}: write it, or take it out")
    return pairs


def column_among(known: Sequence[str], names: Sequence[str], path: Path) -> int:
    """Returns the place of the column that has one of the known names.

    Raises:
        DataError: there is none.
    """
    for place, name in enumerate(names):
        if name.lower() in known:
            return place
    have = f"{path} has the columns {', '.join(names)}"
    raise DataError(f"{have}: name the two `label` and `text`, or write label, tab, sentence")


# --- a text -------------------------------------------------------------------------------


def read_long_text(path: Path, option: str, name: str) -> Splits:
    """Returns a text as windows, as load_shakespeare does; its end is for validation and test.

    Raises:
        DataError: it is too short.
    """
    text = read_text(path).replace("\r\n", "\n")
    check_count(len(text), FEWEST_CHARACTERS, f"{path} has", "characters")
    ends = [int(len(text) * share) for share in (1 - 2 * SHARE, 1 - SHARE)]
    texts = text[: ends[0]], text[ends[0] : ends[1]], text[ends[1] :]
    characters = ("<unknown>", *sorted(set(texts[0])))
    train, validation, test = (windows(encode_text(part, characters), 64) for part in texts)
    facts = {"classes": characters}
    return Splits(train, validation, test, name, path.name, "next character", "own", **facts)


# --- parts --------------------------------------------------------------------------------


def cut(
    content: np.ndarray, y: np.ndarray | None = None, classes: Sequence[str] = ()
) -> list[np.ndarray]:
    """Returns the rows of train, validation and test, shuffled: about 80, 10 and 10 %.

    content: (n,) or (n, values); rows with the same content lie in one part. With classes y (n,)
    each class is cut by itself, so that every part has some of it.

    Raises:
        DataError: a class has too few different rows, or a content has two classes.
    """
    _, groups = np.unique(content, axis=0, return_inverse=True)
    groups = groups.ravel()
    labels = np.zeros(len(groups), int) if y is None else y
    label_of = np.zeros(groups.max() + 1, int)
    label_of[groups] = labels
    if (different := np.flatnonzero(label_of[groups] != labels)).size:
        here, there = (classes[n] for n in (labels[different[0]], label_of[groups[different[0]]]))
        raise DataError(f"the same stands under {here} and {there}: take one of the two out")
    random = np.random.default_rng(SEED)
    chosen: list[list[np.ndarray]] = [[], [], []]
    for label in np.unique(labels):
        found = random.permutation(np.flatnonzero(label_of == label))
        where = f"class {classes[label]} has" if classes else "there are"
        check_count(len(found), FEWEST_OF_A_CLASS, where, "different examples")
        few = max(1, round(SHARE * len(found)))
        for part, some in zip(chosen, np.split(found, [len(found) - 2 * few, len(found) - few])):
            part.append(some)
    rows = (np.flatnonzero(np.isin(groups, np.concatenate(part))) for part in chosen)
    return [random.permutation(part) for part in rows]


def check_count(count: int, fewest: int, where: str, what: str) -> None:
    """Checks that there is enough.

    Raises:
        DataError: there is not.
    """
    if count < fewest:
        raise DataError(f"{where} {count} {what}: at least {fewest} are needed")


READERS: dict[str, Callable[[Path, str, str], Splits]] = {
    "table": read_table,
    "pictures": read_pictures,
    "sentences": read_sentences,
    "text": read_long_text,
}
