"""Fashion-MNIST: 12,000 of its 70,000 grey pictures of clothes, in ten classes."""

from __future__ import annotations

import io

from kerasbook.data.embedded import read_file
from kerasbook.data.splits import Part, Splits, mean_and_std, standardised

import numpy as np

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
VALIDATION_PER_CLASS = 100


def load_fashion(standardise: bool = True) -> Splits:
    """Returns 9,000 + 1,000 + 2,000 pictures: x (n, 28, 28, 1) float32, y (n,) int32 in 0…9.

    standardise: False leaves the pixels as 0 (background) to 255, with mean 0 and std 1.

    Every class has 900, 100 and 200 pictures. Test pictures come from the original test file.
    Source and known flaws: files/fashion_10k_2k.md.
    """
    parts = read_fashion()
    mean, std = np.zeros(1, np.float32), np.ones(1, np.float32)
    if standardise:
        mean, std = mean_and_std(parts[0].x)
    train, validation, test = (Part(standardised(x, mean, std), y) for x, y in parts)
    return Splits(
        train=train,
        validation=validation,
        test=test,
        name="fashion",
        title="Fashion-MNIST",
        target="kind of clothing",
        source="embedded",
        classes=CLASSES,
        mean=mean,
        std=std,
    )


def read_fashion() -> tuple[Part, Part, Part]:
    """Returns train, validation and test as they are in the file, x (n, 28, 28, 1) uint8.

    The file is shuffled, so the last 100 pictures of each class make a fair validation part. They
    stand in turn, one of each class, so that the first n of them are fair too.
    """
    with np.load(io.BytesIO(read_file("fashion_10k_2k.npz"))) as file:
        x, y = file["x_train"][..., np.newaxis], file["y_train"].astype(np.int32)
        test = Part(file["x_test"][..., np.newaxis], file["y_test"].astype(np.int32))
    last = [np.flatnonzero(y == label)[-VALIDATION_PER_CLASS:] for label in range(len(CLASSES))]
    held_out = np.stack(last, axis=1).ravel()  # (100, 10) in rows: class 0, 1, … 9, 0, 1, …
    train = Part(np.delete(x, held_out, axis=0), np.delete(y, held_out))
    return train, Part(x[held_out], y[held_out]), test
