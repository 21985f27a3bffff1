"""Adult: 32,561 people of the US census of 1994, and whether they earned over 50,000 dollars."""

from __future__ import annotations

import csv
import io
import lzma
from collections.abc import Sequence
from typing import NamedTuple

from kerasbook.data.embedded import read_file
from kerasbook.data.splits import DataError, Part, Splits, mean_and_std, standardised

import numpy as np

NUMBERS = ("age", "education_num", "capital_gain", "capital_loss", "hours")
KINDS = ("workclass", "marital", "occupation", "relationship", "race", "sex", "country")
COLUMNS = (*NUMBERS, *KINDS)
TARGET = "income_gt_50k"
TRAIN, VALIDATION = 19_561, 6_500  # and 6,500 for the test
SEED = 10


class People(NamedTuple):
    """Columns of the file by their names, each (n,), and y (n,): 1 for over 50,000 dollars."""

    columns: dict[str, np.ndarray]
    y: np.ndarray


def load_adult(without: Sequence[str] = ()) -> Splits:
    """Returns 19,561 + 6,500 + 6,500 people: x (n, features) float32, y (n,) int32, 1 for over 50K.

    The five numbers of a person are standardised (mean and standard deviation of the training
    part), capital gain and loss as log(1 + dollars). Each of the seven other columns becomes as
    many columns of 0 and 1 as it has values in the training part: `sex=Female`, `sex=Male`.

    without: names out of COLUMNS that are left out of x. The groups that somebody belongs to stay
    at hand in `read_adult`, whose rows are in the same order.

    Source, split and known flaws: files/adult.md.

    Raises:
        DataError: a name in `without` is unknown.
    """
    unknown = set(without) - set(COLUMNS)
    if unknown:
        raise DataError(f"Adult has no column {sorted(unknown)[0]!r}: {', '.join(COLUMNS)}.")
    parts = read_adult()
    numbers = [name for name in NUMBERS if name not in without]
    kinds = {
        name: np.unique(parts[0].columns[name]).tolist() for name in KINDS if name not in without
    }
    mean, std = mean_and_std(in_numbers(parts[0], numbers)) if numbers else (0, 1)

    def part(people: People) -> Part:
        x = [standardised(in_numbers(people, numbers), mean, std)] if numbers else []
        x += [people.columns[name][:, None] == np.array(kinds[name]) for name in kinds]
        return Part(np.concatenate(x, axis=1).astype(np.float32), people.y)

    train, validation, test = map(part, parts)
    return Splits(
        train=train,
        validation=validation,
        test=test,
        name="adult",
        title="Adult",
        target="income over 50,000 dollars",
        source="embedded",
        classes=("up to 50K", "over 50K"),
        features=(*numbers, *(f"{name}={value}" for name in kinds for value in kinds[name])),
    )


def read_adult() -> tuple[People, People, People]:
    """Returns train, validation and test as they are in the file, shuffled once and for all."""
    text = lzma.decompress(read_file("adult.csv.xz")).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    order = np.random.default_rng(SEED).permutation(len(rows))
    values = {name: np.array([row[name] for row in rows])[order] for name in (*COLUMNS, TARGET)}
    y = values.pop(TARGET).astype(np.int32)
    values |= {name: values[name].astype(np.float32) for name in NUMBERS}

    def part(places: slice) -> People:
        return People({name: column[places] for name, column in values.items()}, y[places])

    last = TRAIN + VALIDATION
    return part(slice(TRAIN)), part(slice(TRAIN, last)), part(slice(last, None))


def in_numbers(people: People, names: Sequence[str]) -> np.ndarray:
    """Returns (n, names): ages, years, hours as they are, dollars as log(1 + dollars)."""
    money = ("capital_gain", "capital_loss")
    columns = [np.log1p(people.columns[n]) if n in money else people.columns[n] for n in names]
    return np.stack(columns, axis=1)
