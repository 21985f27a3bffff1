"""Japanese Vowels: 640 short recordings of nine men; who is speaking?"""

from __future__ import annotations

import io

from kerasbook.data.embedded import read_file
from kerasbook.data.splits import Part, Splits, mean_and_std

import numpy as np

SPEAKERS = tuple(f"speaker {number}" for number in range(1, 10))
VALIDATION_PER_SPEAKER = 5
SEED = 0


def load_japanese_vowels(standardise: bool = True) -> Splits:
    """Returns 225 + 45 + 370 recordings: x (n, 29, 12) float32, y (n,) int32, speaker 0 … 8.

    A recording has 7 to 29 steps of 12 numbers (LPC cepstrum); after its end x is exactly 0, so
    that `keras.layers.Masking()` finds the end. `lengths(x)` gives the steps that count.
    standardise: False leaves the numbers as they are, with mean 0 and std 1.

    Mean and standard deviation are those of the training part's real steps: the zeros after the
    end are neither counted nor moved. The test part is that of the authors; 5 of each speaker's 30
    training recordings, drawn with a fixed seed, are the validation part. All parts are shuffled.
    Source and known flaws: files/japanese_vowels.md.
    """
    train, validation, test = read_japanese_vowels()
    mean, std = np.zeros(12, np.float32), np.ones(12, np.float32)
    if standardise:
        mean, std = mean_and_std(train.x[is_real(train.x)])
    parts = (Part(scaled(x, mean, std), y) for x, y in (train, validation, test))
    train, validation, test = parts
    return Splits(
        train=train,
        validation=validation,
        test=test,
        name="japanese_vowels",
        title="Japanese Vowels",
        target="speaker",
        source="embedded",
        classes=SPEAKERS,
        mean=mean,
        std=std,
    )


def is_real(x: np.ndarray) -> np.ndarray:
    """Returns (n, time) bool: the steps of x (n, time, channels) that are not padding."""
    return np.any(x != 0, axis=-1)


def lengths(x: np.ndarray) -> np.ndarray:
    """Returns (n,) int: how many steps of x (n, time, channels) count; the rest is padding."""
    return is_real(x).sum(axis=1)


def scaled(x: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """Returns (x - mean) / std at the real steps, and still 0 after them."""
    return np.where(is_real(x)[..., np.newaxis], (x - mean) / std, np.float32(0))


def read_japanese_vowels() -> tuple[Part, Part, Part]:
    """Returns train, validation and test in the file's numbers; the file's order is shuffled."""
    with np.load(io.BytesIO(read_file("japanese_vowels.npz"))) as file:
        x, y = file["x_train"], file["y_train"].astype(np.int32)
        test = Part(file["x_test"], file["y_test"].astype(np.int32))
    random = np.random.default_rng(SEED)
    shuffled = random.permutation(len(x))
    of_each = [shuffled[y[shuffled] == label] for label in range(len(SPEAKERS))]
    # In rows: one of each speaker, then one of each again; so the first n are fair too.
    held_out = np.stack([rows[:VALIDATION_PER_SPEAKER] for rows in of_each], axis=1).ravel()
    rest = shuffled[~np.isin(shuffled, held_out)]
    order = random.permutation(len(test.x))
    return (
        Part(x[rest], y[rest]),
        Part(x[held_out], y[held_out]),
        Part(test.x[order], test.y[order]),
    )
