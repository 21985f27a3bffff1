"""Japanese Vowels: complete, split by speaker, scaled without the padding."""

from kerasbook import data
from kerasbook.data import vowels
from kerasbook.data.embedded import FILES

import numpy as np
import pytest


@pytest.fixture(scope="module")
def splits():
    return data.load_japanese_vowels()


def parts(splits):
    return {"train": splits.train, "validation": splits.validation, "test": splits.test}


def rows(x, y):
    return sorted(series.tobytes() + bytes([label]) for series, label in zip(x, y, strict=True))


def test_shapes_and_classes(splits):
    for (name, part), count in zip(parts(splits).items(), (225, 45, 370), strict=True):
        assert part.x.shape == (count, 29, 12), name
        assert (part.x.dtype, part.y.dtype) == (np.float32, np.int32)
    assert np.bincount(splits.train.y).tolist() == [25] * 9
    assert np.bincount(splits.validation.y).tolist() == [5] * 9
    assert np.bincount(splits.test.y).tolist() == [31, 35, 88, 44, 29, 24, 40, 50, 29]
    assert splits.validation.y[:18].tolist() == 2 * list(range(9)), "the first n are fair"
    assert len(splits.classes) == 9
    assert splits.name == "japanese_vowels"
    assert data.load("japanese_vowels").name == "japanese_vowels"
    assert "29 steps of 12 values; nine classes" in str(splits)


def test_parts_are_disjoint_and_complete():
    train, validation, test = vowels.read_japanese_vowels()
    with np.load(FILES / "japanese_vowels.npz") as file:
        whole, original_test = (
            rows(file["x_train"], file["y_train"]),
            rows(file["x_test"], file["y_test"]),
        )
    assert rows(*test) == original_test
    assert sorted(rows(*train) + rows(*validation)) == whole
    assert not set(rows(*train)) & set(rows(*validation))


def test_parts_are_shuffled(splits):
    for name in ("train", "test"):
        y = parts(splits)[name].y
        assert len(set(y[:20])) > 5, f"{name} is in order of speakers"


def test_split_is_the_same_today_as_when_the_scores_were_measured(splits):
    assert splits.train.y[:10].tolist() == [4, 2, 4, 4, 5, 5, 3, 1, 0, 2]
    assert splits.test.y[:10].tolist() == [2, 3, 2, 2, 1, 2, 0, 8, 2, 1]


def test_lengths_are_those_of_the_file():
    train, validation, test = vowels.read_japanese_vowels()
    with np.load(FILES / "japanese_vowels.npz") as file:
        expected = sorted(file["len_test"].tolist())
        expected_train = sorted(file["len_train"].tolist())
    assert sorted(vowels.lengths(test.x).tolist()) == expected
    found = np.concatenate([vowels.lengths(train.x), vowels.lengths(validation.x)])
    assert sorted(found.tolist()) == expected_train


def test_padding_stays_zero_and_only_at_the_end(splits):
    raw = data.load_japanese_vowels(standardise=False)
    for name, part in parts(splits).items():
        real = vowels.is_real(part.x)
        np.testing.assert_array_equal(real, vowels.is_real(parts(raw)[name].x))
        assert (part.x[~real] == 0).all()
        assert not (~real[:, :-1] & real[:, 1:]).any(), "a step of zeros inside a recording"
        np.testing.assert_array_equal(vowels.lengths(part.x), real.sum(axis=1))
        assert (~real).any()


def test_scaled_by_the_real_steps_of_the_training_part(splits):
    real = splits.train.x[vowels.is_real(splits.train.x)]
    np.testing.assert_allclose(real.mean(axis=0, dtype=np.float64), 0, atol=1e-5)
    np.testing.assert_allclose(real.std(axis=0, dtype=np.float64), 1, atol=1e-5)
    for part in (splits.validation, splits.test):
        assert np.abs(part.x[vowels.is_real(part.x)].mean(axis=0)).max() > 1e-3
    raw = data.load_japanese_vowels(standardise=False)
    real = vowels.is_real(splits.test.x)
    back = splits.test.x[real] * splits.std + splits.mean
    np.testing.assert_allclose(back, raw.test.x[real], atol=1e-5)
    assert raw.mean.tolist() == [0] * 12
    assert raw.std.tolist() == [1] * 12


def test_test_values_do_not_change_the_training_part(splits, monkeypatch):
    train, validation, test = vowels.read_japanese_vowels()
    loud = data.Part(test.x * 1000, test.y)
    monkeypatch.setattr(vowels, "read_japanese_vowels", lambda: (train, validation, loud))
    other = data.load_japanese_vowels()
    assert not np.array_equal(other.test.x, splits.test.x)
    np.testing.assert_array_equal(other.train.x, splits.train.x)
    np.testing.assert_array_equal(other.mean, splits.mean)
