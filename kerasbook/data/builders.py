"""The embedded data sets as TensorFlow Datasets: `tfds.load("kerasbook_fashion")`.

Importing kerasbook.data.tfds registers them. Their splits train, validation and test hold the
examples of load_auto_mpg, load_fashion and load_verses, in the same order, with the values as they
are in the files: nothing is standardised, pictures are bytes, verses are text. They are prepared
without a network.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from kerasbook.data.auto_mpg import FEATURES, load_auto_mpg
from kerasbook.data.fashion import CLASSES, read_fashion
from kerasbook.data.splits import Part
from kerasbook.data.verses import Verse, read_verses

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core import registered

AUTO_MPG_CITATION = """\
@misc{autompg,
  title = {Auto {MPG}},
  author = {Quinlan, Ross},
  year = {1993},
  howpublished = {UCI Machine Learning Repository},
  doi = {10.24432/C5859H}
}"""
FASHION_CITATION = """\
@article{xiao2017fashion,
  title = {Fashion-{MNIST}: a Novel Image Dataset for Benchmarking Machine Learning Algorithms},
  author = {Xiao, Han and Rasul, Kashif and Vollgraf, Roland},
  journal = {arXiv:1708.07747},
  year = {2017}
}"""
# Registering a name twice raises; reloading this module shall not.
# pyright: reportGeneralTypeIssues=false, reportCallIssue=false
# (pyright does not see the class keyword skip_registration, which is TFDS's own)
KNOWN = set(registered._DATASET_REGISTRY)


class KerasbookAutoMpg(
    tfds.core.GeneratorBasedBuilder, skip_registration="kerasbook_auto_mpg" in KNOWN
):
    """392 cars: nine features in their units, and miles per gallon."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "As embedded in kerasbook."}

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"Fuel economy of 392 cars of 1970–1982, from {', '.join(FEATURES)}.",
            features=tfds.features.FeaturesDict(
                {
                    "features": tfds.features.Tensor(shape=(len(FEATURES),), dtype=np.float32),
                    "mpg": tfds.features.Tensor(shape=(1,), dtype=np.float32),
                }
            ),
            supervised_keys=("features", "mpg"),
            homepage="https://archive.ics.uci.edu/dataset/9/auto+mpg",
            citation=AUTO_MPG_CITATION,
            disable_shuffling=True,  # keeps the order of load_auto_mpg
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        splits = load_auto_mpg(standardise=False)
        return {
            "train": self._generate_examples(splits.train),
            "validation": self._generate_examples(splits.validation),
            "test": self._generate_examples(splits.test),
        }

    def _generate_examples(self, part: Part) -> Iterator[tuple[int, dict]]:
        for number, (x, y) in enumerate(zip(part.x, part.y)):
            yield number, {"features": x, "mpg": y}


class KerasbookFashion(
    tfds.core.GeneratorBasedBuilder, skip_registration="kerasbook_fashion" in KNOWN
):
    """12,000 pictures of Fashion-MNIST: 28 × 28 grey bytes, ten classes."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "As embedded in kerasbook."}

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="The first 1,000 training and 200 test pictures of each class of "
            "Fashion-MNIST, shuffled; the training pictures cut into 9,000 and 1,000.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(28, 28, 1), dtype=np.uint8),
                    "label": tfds.features.ClassLabel(names=CLASSES),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://github.com/zalandoresearch/fashion-mnist",
            citation=FASHION_CITATION,
            disable_shuffling=True,  # keeps the order of load_fashion
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        train, validation, test = read_fashion()
        return {
            "train": self._generate_examples(train),
            "validation": self._generate_examples(validation),
            "test": self._generate_examples(test),
        }

    def _generate_examples(self, part: Part) -> Iterator[tuple[int, dict]]:
        for number, (x, y) in enumerate(zip(part.x, part.y)):
            yield number, {"image": x, "label": y}


class KerasbookVerses(
    tfds.core.GeneratorBasedBuilder, skip_registration="kerasbook_verses" in KNOWN
):
    """12,286 Bible verses in Spanish and English."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "As embedded in kerasbook."}

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Verses of at most 20 words of Reina-Valera 1909 and an altered World "
            "English Bible, both in the public domain, split by chapter.",
            features=tfds.features.FeaturesDict(
                {
                    "es": tfds.features.Text(),
                    "en": tfds.features.Text(),
                    "reference": tfds.features.Text(),
                }
            ),
            supervised_keys=("es", "en"),
            homepage="https://ebible.org/web/",
            disable_shuffling=True,  # keeps the order of load_verses
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        train, validation, test = read_verses()
        return {
            "train": self._generate_examples(train),
            "validation": self._generate_examples(validation),
            "test": self._generate_examples(test),
        }

    def _generate_examples(self, verses: list[Verse]) -> Iterator[tuple[int, dict]]:
        for number, (reference, english, spanish) in enumerate(verses):
            yield number, {"es": spanish, "en": english, "reference": reference}
