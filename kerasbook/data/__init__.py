"""Data: every load_*() returns Splits(train, validation, test), each with inputs x and targets y.

    >>> from kerasbook.data import load_auto_mpg
    >>> splits = load_auto_mpg()
    >>> print(splits)
    Auto MPG (embedded): 236 train, 78 validation, 78 test; nine features; target: fuel …
    >>> x, y = splits.train  # (236, 9), (236, 1)

The data sets in EMBEDDED lie inside the package: they need no network, and neither TensorFlow nor
TensorFlow Datasets is imported to read them. Those in ONLINE are read by kerasbook.data.tfds.
A new embedded data set is a file with its datasheet in files/, its sha256 in files/SHA256SUMS,
a module with its load function, a line in EMBEDDED and a recipe in tools/remake_data.py.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import time
from collections.abc import Callable
from typing import Any

from kerasbook.data.adult import load_adult
from kerasbook.data.auto_mpg import load_auto_mpg
from kerasbook.data.bikes import load_bike_rentals
from kerasbook.data.cmudict import load_cmudict
from kerasbook.data.fashion import load_fashion
from kerasbook.data.film import load_film_sentences
from kerasbook.data.remote import SOURCES
from kerasbook.data.shakespeare import load_shakespeare
from kerasbook.data.splits import DataError, Part, Splits
from kerasbook.data.verses import load_verses
from kerasbook.data.vowels import load_japanese_vowels

__all__ = [
    "DataError",
    "Part",
    "Splits",
    "load",
    "load_adult",
    "load_auto_mpg",
    "load_bike_rentals",
    "load_cmudict",
    "load_fashion",
    "load_film_sentences",
    "load_japanese_vowels",
    "load_shakespeare",
    "load_verses",
]

EMBEDDED: dict[str, Callable[..., Splits]] = {
    "auto_mpg": load_auto_mpg,
    "fashion": load_fashion,
    "film_sentences": load_film_sentences,
    "cmudict": load_cmudict,
    "shakespeare": load_shakespeare,
    "verses": load_verses,
    "japanese_vowels": load_japanese_vowels,
    "adult": load_adult,
    "bikeshare_1h": load_bike_rentals,
    "bikeshare_24h": functools.partial(load_bike_rentals, horizon=24),
}
ONLINE = tuple(SOURCES)
OWN = ("table", "pictures", "sentences", "text")  # what kerasbook.data.own reads


def load(name: str, **options: Any) -> Splits:
    """Returns the data set of that name; `options` go to its load function.

    An embedded one takes what its load_*() takes, an online one `data_dir` (see load_tfds). One's
    own are named as `table:houses.csv#price` or `pictures:garments#32` (see kerasbook.data.own).

    Raises:
        DataError: the name is unknown, or the data cannot be had.
    """
    started = time.perf_counter()
    if name in EMBEDDED:
        splits = EMBEDDED[name](**options)
    elif name in ONLINE:
        from kerasbook.data.tfds import load_tfds  # imports TensorFlow Datasets: 0.5 s

        splits = load_tfds(name, **options)
    elif name.partition(":")[0] in OWN:
        from kerasbook.data.own import load_own

        splits = load_own(name, **options)
    else:
        raise _unknown(name)
    return dataclasses.replace(splits, seconds=time.perf_counter() - started)


def _unknown(name: str) -> DataError:
    close = difflib.get_close_matches(name, [*EMBEDDED, *ONLINE], n=1)
    hint = f": did you mean {close[0]!r}?" if close else "."
    return DataError(
        f"There is no data set {name!r}{hint}\n"
        f"Embedded: {', '.join(EMBEDDED)}. From TensorFlow Datasets: {', '.join(ONLINE)}."
    )
