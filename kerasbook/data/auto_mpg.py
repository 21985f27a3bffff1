"""Auto MPG: how far 392 cars of 1970–1982 go on a gallon of petrol."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Sequence

from kerasbook.data.embedded import read_file
from kerasbook.data.splits import DataError, Part, Splits, mean_and_std, standardised

import numpy as np

COLUMNS = {  # feature: (column of the file, unit)
    "cylinders": ("cyl", "number"),
    "displacement": ("displ", "cubic inches"),
    "horsepower": ("hp", "hp"),
    "weight": ("weight", "lb"),
    "acceleration": ("accel", "seconds from 0 to 60 mph"),
    "model_year": ("yr", "years since 1900"),
}
ORIGINS = {"USA": "1", "Europe": "2", "Japan": "3"}  # feature: code in the column origin
FEATURES = (*COLUMNS, *ORIGINS)
TRAIN, VALIDATION, TEST = 236, 78, 78  # about 60, 20 and 20 % of 392
SEED = 0


def load_auto_mpg(features: Sequence[str] | None = None, standardise: bool = True) -> Splits:
    """Returns Auto MPG as x (n, features) float32 and y (n, 1) float32 in miles per gallon.

    features: names out of FEATURES, in the order wanted; all nine when left out. "origin" stands
    for USA, Europe and Japan, three columns of which one is 1 and two are 0. These add up to 1 in
    every row: beside a bias they leave the least-squares solution undetermined (its predictions
    are not), unless one of the three is left out.
    standardise: False leaves the columns in their units (COLUMNS), with mean 0 and std 1.

    The rows are shuffled once and for all, then cut into 236, 78 and 78. Source and known flaws:
    files/auto_mpg.md.

    Raises:
        DataError: a feature is unknown.
    """
    names = chosen(features)
    rows = list(csv.DictReader(io.StringIO(read_file("auto_mpg.csv").decode())))
    x = np.array([[value(row, name) for name in names] for row in rows], np.float32)
    y = np.array([[row["mpg"]] for row in rows], np.float32)

    order = np.random.default_rng(SEED).permutation(len(rows))
    cuts = np.split(order, [TRAIN, TRAIN + VALIDATION])
    mean, std = np.zeros(len(names), np.float32), np.ones(len(names), np.float32)
    if standardise:
        mean, std = mean_and_std(x[cuts[0]])
    train, validation, test = (Part(standardised(x[cut], mean, std), y[cut]) for cut in cuts)
    return Splits(
        train=train,
        validation=validation,
        test=test,
        name="auto_mpg",
        title="Auto MPG",
        target="fuel economy (mpg)",
        source="embedded",
        features=names,
        mean=mean,
        std=std,
    )


def chosen(features: Sequence[str] | None) -> tuple[str, ...]:
    """Returns the names asked for, with "origin" written out.

    Raises:
        DataError: one is unknown.
    """
    if features is None:
        return FEATURES
    names: list[str] = []
    for name in [features] if isinstance(features, str) else features:
        names += ORIGINS if name == "origin" else [name]
    for name in names:
        if name not in FEATURES:
            close = difflib.get_close_matches(name, FEATURES, n=1)
            hint = f": did you mean {close[0]!r}?" if close else "."
            choices = ", ".join((*FEATURES, "origin"))
            raise DataError(f"Auto MPG has no feature {name!r}{hint}\nIt has {choices}.")
    if not names:
        raise DataError(f"Name at least one feature out of {', '.join(FEATURES)}.")
    return tuple(names)


def value(row: dict[str, str], feature: str) -> float:
    """Returns a feature of one row of the file."""
    if feature in ORIGINS:
        return float(row["origin"] == ORIGINS[feature])
    return float(row[COLUMNS[feature][0]])
