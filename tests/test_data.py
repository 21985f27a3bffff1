"""The embedded data: complete, unchanged, fixed splits, no leak from test to train."""

import lzma
import subprocess
import sys
import zipfile

from kerasbook import data
from kerasbook.data import embedded, fashion
from kerasbook.data.auto_mpg import FEATURES

import numpy as np
import pytest

DATA_FILES = sorted(embedded.checksums())


def parts(splits):
    return {"train": splits.train, "validation": splits.validation, "test": splits.test}


def rows(*arrays):
    """Return each example's bytes, for comparing whole examples."""
    return [b"".join(array[i].tobytes() for array in arrays) for i in range(len(arrays[0]))]


@pytest.fixture(scope="module")
def auto_mpg():
    return data.load_auto_mpg()


@pytest.fixture(scope="module")
def pictures():
    return data.load_fashion()


@pytest.fixture
def copied_files(tmp_path, monkeypatch):
    """Let kerasbook read a copy of its files, which a test may damage."""
    for name in (embedded.CHECKSUMS, "auto_mpg.csv", "fashion_10k_2k.npz"):
        (tmp_path / name).write_bytes((embedded.FILES / name).read_bytes())
    monkeypatch.setattr(embedded, "FILES", tmp_path)
    return tmp_path


# Shapes and splits


def test_auto_mpg_has_the_documented_shapes(auto_mpg):
    sizes = {name: (part.x.shape, part.y.shape) for name, part in parts(auto_mpg).items()}
    assert sizes == {
        "train": ((236, 9), (236, 1)),
        "validation": ((78, 9), (78, 1)),
        "test": ((78, 9), (78, 1)),
    }
    assert {array.dtype for part in parts(auto_mpg).values() for array in part} == {np.dtype("f4")}
    assert auto_mpg.features == FEATURES
    assert auto_mpg.mean.shape == auto_mpg.std.shape == (9,)


def test_fashion_has_the_documented_shapes(pictures):
    for (name, part), count in zip(parts(pictures).items(), (9000, 1000, 2000), strict=True):
        assert part.x.shape == (count, 28, 28, 1), name
        assert (part.x.dtype, part.y.dtype) == (np.float32, np.int32)
        assert np.bincount(part.y).tolist() == [count // 10] * 10, "every class has its share"
    assert pictures.mean.shape == pictures.std.shape == (1,)
    assert len(pictures.classes) == 10


def test_auto_mpg_parts_are_disjoint_and_complete():
    splits = data.load_auto_mpg(standardise=False)
    x, y = (np.concatenate(arrays) for arrays in zip(*parts(splits).values(), strict=True))
    table = embedded.read_file("auto_mpg.csv").decode().splitlines()[1:]
    columns = [[float(value) for value in line.split(",")[:8]] for line in table]
    # mpg, the six numeric features, and the code of origin made back from its three columns
    remade = np.column_stack([y, x[:, :6], x[:, 6:] @ np.array([1, 2, 3])])
    assert sorted(map(tuple, remade)) == sorted(map(tuple, np.array(columns, np.float32)))


def test_fashion_parts_are_disjoint_and_complete():
    train, validation, test = fashion.read_fashion()
    with np.load(embedded.FILES / "fashion_10k_2k.npz") as file:
        whole = rows(file["x_train"], file["y_train"])
        original_test = rows(file["x_test"], file["y_test"])
    train, validation, test = (
        rows(x[..., 0], y.astype(np.uint8)) for x, y in (train, validation, test)
    )
    assert test == original_test
    assert sorted(train + validation) == sorted(whole)
    assert not set(train) & set(validation), "no picture is in both (the file has no duplicates)"


def test_splits_are_the_same_today_as_when_the_scores_were_measured(auto_mpg, pictures):
    assert auto_mpg.train.y[:5, 0] == pytest.approx([22, 33, 30, 24.5, 24])
    assert auto_mpg.validation.y[:5, 0] == pytest.approx([11, 17.5, 15, 24, 23.9])
    assert auto_mpg.test.y[:5, 0] == pytest.approx([26.6, 21, 19.2, 25.5, 23])
    assert pictures.train.y[:10].tolist() == [3, 8, 1, 0, 4, 0, 9, 3, 4, 9]
    assert pictures.validation.y[:20].tolist() == 2 * list(range(10))
    assert pictures.test.y[:10].tolist() == [2, 6, 1, 4, 0, 9, 9, 6, 4, 5]


def test_loading_twice_gives_the_same_splits(auto_mpg):
    again = data.load_auto_mpg()
    for name, part in parts(auto_mpg).items():
        np.testing.assert_array_equal(part.x, parts(again)[name].x)
        np.testing.assert_array_equal(part.y, parts(again)[name].y)


# Standardisation


@pytest.mark.parametrize("load", [data.load_auto_mpg, data.load_fashion])
def test_only_the_training_part_has_mean_0_and_std_1(load):
    splits = load()
    for name, (x, _) in parts(splits).items():
        axes = tuple(range(x.ndim - 1))
        mean, std = x.mean(axes, dtype=np.float64), x.std(axes, dtype=np.float64)
        if name == "train":
            np.testing.assert_allclose(mean, 0, atol=1e-5)
            np.testing.assert_allclose(std, 1, atol=1e-5)
        else:
            assert np.abs(mean).max() > 1e-3, f"{name} was standardised by itself"


@pytest.mark.parametrize("load", [data.load_auto_mpg, data.load_fashion])
def test_mean_and_std_give_the_raw_values_back(load):
    splits, raw = load(), load(standardise=False)
    np.testing.assert_allclose(
        splits.test.x * splits.std + splits.mean, raw.test.x, rtol=1e-5, atol=1e-4
    )
    assert raw.mean.tolist() == [0] * raw.test.x.shape[-1]
    assert raw.std.tolist() == [1] * raw.test.x.shape[-1]


def test_auto_mpg_test_values_do_not_change_the_training_part(auto_mpg, monkeypatch):
    raw = data.load_auto_mpg(standardise=False)
    weight = f"{raw.test.x[0, FEATURES.index('weight')]:g}"
    start = f"{raw.test.y[0, 0]:g},"
    table = embedded.read_file("auto_mpg.csv").decode()
    found = [row for row in table.splitlines() if row.startswith(start) and f",{weight}," in row]
    assert len(found) == 1, "the row of the first test car"
    changed = table.replace(found[0], found[0].replace(weight, "99999"))
    monkeypatch.setattr("kerasbook.data.auto_mpg.read_file", lambda name: changed.encode())

    other = data.load_auto_mpg()
    assert not np.array_equal(other.test.x, auto_mpg.test.x)
    np.testing.assert_array_equal(other.train.x, auto_mpg.train.x)
    np.testing.assert_array_equal(other.mean, auto_mpg.mean)


def test_fashion_test_pixels_do_not_change_the_training_part(pictures, monkeypatch):
    train, validation, test = fashion.read_fashion()
    white = data.Part(np.full_like(test.x, 255), test.y)
    monkeypatch.setattr(fashion, "read_fashion", lambda: (train, validation, white))

    other = data.load_fashion()
    assert other.test.x.min() == other.test.x.max()
    np.testing.assert_array_equal(other.train.x, pictures.train.x)
    np.testing.assert_array_equal(other.mean, pictures.mean)


# Choosing and shortening


def test_features_are_chosen_by_name(auto_mpg):
    one = data.load_auto_mpg(features=("horsepower",))
    column = FEATURES.index("horsepower")
    np.testing.assert_array_equal(one.train.x, auto_mpg.train.x[:, [column]])
    np.testing.assert_array_equal(one.train.y, auto_mpg.train.y)
    assert one.features == ("horsepower",)
    assert data.load_auto_mpg("weight").features == ("weight",)


def test_origin_stands_for_three_columns_of_which_one_is_1():
    splits = data.load_auto_mpg(("origin", "weight"), standardise=False)
    assert splits.features == ("USA", "Europe", "Japan", "weight")
    x = np.concatenate([part.x[:, :3] for part in parts(splits).values()])
    assert x.sum(axis=1).tolist() == [1] * 392
    assert x.sum(axis=0).tolist() == [245, 68, 79]


@pytest.mark.parametrize("features", [("horsepowers",), ()])
def test_wrong_features_are_told_which_there_are(features):
    with pytest.raises(data.DataError, match="horsepower"):
        data.load_auto_mpg(features=features)


def test_take_keeps_the_first_examples_and_the_scale(auto_mpg):
    few = auto_mpg.take(100)
    assert [len(part.x) for part in parts(few).values()] == [100, 78, 78]
    np.testing.assert_array_equal(few.train.x, auto_mpg.train.x[:100])
    np.testing.assert_array_equal(few.train.y, auto_mpg.train.y[:100])
    np.testing.assert_array_equal(few.mean, auto_mpg.mean)
    assert len(auto_mpg.train.x) == 236, "the original is as it was"
    assert len(auto_mpg.take(None).train.x) == 236
    with pytest.raises(ValueError, match="at least one"):
        auto_mpg.take(0)


def test_splits_print_in_one_readable_line(auto_mpg, pictures):
    assert str(auto_mpg) == (
        "Auto MPG (embedded): 236 train, 78 validation, 78 test; nine features; "
        "target: fuel economy (mpg)"
    )
    assert repr(pictures) == (
        "Fashion-MNIST (embedded): 9,000 train, 1,000 validation, 2,000 test; "
        "pictures 28 × 28 × 1; ten classes"
    )


def test_constant_columns_become_zero_not_nan():
    from kerasbook.data.splits import mean_and_std, standardised

    x = np.full((5, 1), 0.1, np.float32)
    assert standardised(x, *mean_and_std(x)).tolist() == [[0]] * 5


def test_a_linear_model_scores_what_such_models_score(auto_mpg):
    """Published with all features, five folds: mean absolute error 2.59 mpg."""
    with_bias = {name: np.c_[x, np.ones(len(x))] for name, (x, _) in parts(auto_mpg).items()}
    weights, *_ = np.linalg.lstsq(with_bias["train"], auto_mpg.train.y, rcond=None)
    error = np.abs(with_bias["test"] @ weights - auto_mpg.test.y).mean()
    assert error == pytest.approx(2.55, abs=0.01)


# Names


def test_load_finds_embedded_data_by_name(auto_mpg):
    splits = data.load("auto_mpg", features=("weight",))
    assert splits.name == "auto_mpg"
    assert splits.source == "embedded"
    assert splits.features == ("weight",)
    assert 0 < splits.seconds < 60


@pytest.mark.slow
@pytest.mark.parametrize("name", data.EMBEDDED)
def test_embedded_data_have_the_name_under_which_they_are_loaded(name):
    assert data.load(name).name == name


def test_load_of_an_unknown_name_suggests_and_lists():
    with pytest.raises(data.DataError) as caught:
        data.load("fashin")
    message = str(caught.value)
    assert "did you mean 'fashion'?" in message
    assert all(name in message for name in (*data.EMBEDDED, *data.ONLINE))
    assert len(message.splitlines()) <= 2
    with pytest.raises(data.DataError, match="no data set 'xyzzy'"):
        data.load("xyzzy")


def test_embedded_data_need_neither_tensorflow_nor_tfds():
    program = (
        "import sys; from kerasbook import data; data.load('auto_mpg'); data.load('fashion');"
        "print([name for name in sys.modules if name.startswith(('tensorflow', 'keras.'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


# Files


@pytest.mark.parametrize("damage", ["flip a byte", "cut short", "missing", "not listed"])
@pytest.mark.parametrize("name", ["auto_mpg.csv", "fashion_10k_2k.npz"])
def test_a_bad_file_is_named_before_it_is_parsed(copied_files, name, damage):
    load = {"auto_mpg.csv": data.load_auto_mpg, "fashion_10k_2k.npz": data.load_fashion}[name]
    load()  # the copy is good
    file = copied_files / name
    content = bytearray(file.read_bytes())
    if damage == "flip a byte":
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    elif damage == "cut short":
        file.write_bytes(content[:-1])
    elif damage == "missing":
        file.unlink()
    else:
        (copied_files / embedded.CHECKSUMS).write_text("")
    with pytest.raises(data.DataError, match=r"(?s)" + name + ".*Reinstall kerasbook"):
        load()


def test_a_missing_table_of_checksums_is_named(copied_files):
    (copied_files / embedded.CHECKSUMS).unlink()
    with pytest.raises(data.DataError, match=embedded.CHECKSUMS):
        data.load_auto_mpg()


@pytest.mark.parametrize("name", DATA_FILES)
def test_every_data_file_is_the_one_listed_and_can_be_decompressed(name):
    content = embedded.read_file(name)
    if name.endswith(".xz"):
        lzma.decompress(content).decode()
    elif name.endswith(".npz"):
        assert zipfile.is_zipfile(embedded.FILES / name)


@pytest.mark.parametrize("name", DATA_FILES)
def test_every_data_file_has_a_datasheet_and_a_licence(name):
    stem = name.split(".")[0]
    datasheet = (embedded.FILES / f"{stem}.md").read_text(encoding="utf-8")
    words = ("Source", "Licence", "Split", "flaws", name, embedded.checksums()[name])
    assert [word for word in words if word not in datasheet] == []
    assert (embedded.FILES / f"{stem}.license").read_text(encoding="utf-8").strip()


def test_nothing_unlisted_lies_among_the_files_and_all_fit_in_the_wheel():
    files = {path.name: len(path.read_bytes()) for path in embedded.FILES.iterdir()}
    stems = {name.split(".")[0] for name in DATA_FILES}
    expected = {*DATA_FILES, embedded.CHECKSUMS, ".gitattributes"}
    expected |= {stem + ending for stem in stems for ending in (".md", ".license")}
    assert set(files) == expected
    assert sum(files.values()) < 12e6
