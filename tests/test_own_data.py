"""One's own data in place of a chapter's, and one line for each way in which they can be wrong."""

import ast

from kerasbook import contents, runner
from kerasbook.data import OWN, DataError, load, own
from kerasbook.data.own import cut
from kerasbook.runner import flags

import numpy as np
import pytest
from PIL import Image


def houses(rows=30):
    random = np.random.default_rng(0)
    values = random.integers(1, 100, (rows, 3))
    return "rooms,price,age\n" + "".join(f"{a},{b},{c}\n" for a, b, c in values)


def load_text(tmp_path, kind, content, name="own.csv", option=""):
    (tmp_path / name).write_text(content, encoding="utf-8")
    return load(f"{kind}:{tmp_path / name}{option}")


# --- a table ------------------------------------------------------------------------------


def test_the_last_column_or_a_named_one_is_predicted(tmp_path):
    splits = load_text(tmp_path, "table", houses())
    assert splits.features == ("rooms", "price")
    assert splits.target == "age"
    by_name = load_text(tmp_path, "table", houses(), option="#price")
    assert (by_name.features, by_name.target) == (("rooms", "age"), "price")
    assert [len(part.y) for part in (by_name.train, by_name.validation, by_name.test)] == [24, 3, 3]
    x = by_name.train.x * by_name.std + by_name.mean
    assert x == pytest.approx(np.round(x), abs=1e-3)
    assert by_name.train.x.mean(axis=0) == pytest.approx([0, 0], abs=1e-6)
    rows = {tuple(row) for part in by_name_parts(by_name) for row in part}
    expected = {tuple(map(float, line.split(","))) for line in houses().splitlines()[1:]}
    assert {(a, b, c) for a, c, b in rows} == expected


def by_name_parts(splits):
    for x, y in (splits.train, splits.validation, splits.test):
        yield np.round(np.hstack([x * splits.std + splits.mean, y])).tolist()


@pytest.mark.parametrize(
    ("content", "option", "message"),
    [
        ("", "", "is empty: nothing can be read"),
        (houses(), "#cost", "has no column 'cost' to predict: it has rooms, price, age"),
        (houses(10), "", "has 10 rows: at least 20 are needed"),
        ("1,2\n" * 30, "", "the first row of .* is to hold a name for every column"),
        ("a,a\n" + "1,2\n" * 30, "", "has two columns 'a': name one of them otherwise"),
        ("a\n" + "1\n" * 30, "", "has one column: two are needed"),
        (
            "a,b\n" + "1,2\n" * 25 + "3,red\n",
            "",
            "row 26, column 'b' of .* holds 'red', which is no",
        ),
        ("a,b\n" + "1,2\n" * 25 + "3,\n", "", "row 26, column 'b' of .* holds nothing"),
        ("a,b\n" + "1,2\n" * 25 + "3\n", "", "row 27 of .* has 1 cells, the first 2"),
        ("a,b\n" + "1,2\n" * 25, "", "'b' is 2 in all rows of"),
        ("a,b\n" + "1,2\n" * 25 + "3,4\n", "", "there are 2 different examples: at least 5"),
    ],
)
def test_a_wrong_table_is_one_line(content, option, message, tmp_path):
    with pytest.raises(DataError, match=message):
        load_text(tmp_path, "table", content, option=option)


def test_another_encoding_is_one_line(tmp_path):
    (tmp_path / "own.csv").write_bytes("größe,b\n1,2\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"is not in UTF-8 \(line 1\): save it in that encoding"):
        load(f"table:{tmp_path / 'own.csv'}")


# --- pictures -----------------------------------------------------------------------------


def save_pictures(folder, count=10, size=(12, 10), mode="L", classes=("cat", "dog")):
    random = np.random.default_rng(1)
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], 3)
            pixels = random.integers(100 * label, 100 * label + 100, shape, np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def test_a_folder_for_each_class(tmp_path):
    save_pictures(tmp_path / "pets")
    (tmp_path / "pets" / ".hidden").mkdir()
    (tmp_path / "pets" / "cat" / ".DS_Store").write_text("")
    splits = load(f"pictures:{tmp_path / 'pets'}")
    assert splits.classes == ("cat", "dog")
    assert splits.train.x.shape == (16, 10, 12, 1)
    for x, y in (splits.train, splits.validation, splits.test):
        assert set(y) == {0, 1}  # some of each class in every part
        levels = x * splits.std + splits.mean
        assert ((levels.max(axis=(1, 2, 3)) >= 100) == (y == 1)).all()


def test_size_makes_all_pictures_alike(tmp_path):
    save_pictures(tmp_path / "pets", size=(12, 10))
    save_pictures(tmp_path / "pets", size=(30, 20), mode="RGB", classes=("bird",))
    with pytest.raises(DataError, match=r"is 30 × 20 and .* is 12 × 10: --size 32 makes all of"):
        load(f"pictures:{tmp_path / 'pets'}")
    splits = load(f"pictures:{tmp_path / 'pets'}#16")
    assert splits.train.x.shape == (24, 16, 16, 3)


def test_wrong_pictures_are_one_line(tmp_path):
    folder = tmp_path / "pets"

    def fails(message):
        with pytest.raises(DataError, match=message):
            load(f"pictures:{folder}")

    fails("there is no folder .*pets: name one with a folder for each class")
    save_pictures(folder, classes=("cat",))
    fails("holds 1 folder: put the pictures of each class into a folder of its own")
    save_pictures(folder, count=4, classes=("dog",))
    fails("class dog has 4 pictures: at least 5 are needed")
    save_pictures(folder)
    (folder / "dog" / "inner").mkdir()
    fails("dog holds the folder inner: name a folder of classes")
    (folder / "dog" / "inner").rmdir()
    (folder / "dog" / "notes.txt").write_text("hello")
    fails("notes.txt is no picture: take a PNG or JPEG file")
    (folder / "dog" / "notes.txt").unlink()
    (folder / "dog" / "copy.png").write_bytes((folder / "cat" / "0.png").read_bytes())
    fails("the same stands under (dog and cat|cat and dog): take one of the two out")
    save_pictures(tmp_path / "tiny", size=(4, 4))
    folder = tmp_path / "tiny"
    fails("is 4 × 4, sides of 8 to 256 pixels can be read: --size 32")
    save_pictures(tmp_path / "same", count=1)
    for name in ("cat", "dog"):
        for number in range(1, 6):
            content = (tmp_path / "same" / name / "0.png").read_bytes()
            (tmp_path / "same" / name / f"{number}.png").write_bytes(content)
    folder = tmp_path / "same"
    fails("class cat has 1 different examples: at least 5 are needed")


# --- sentences ----------------------------------------------------------------------------

LINES = [(label, f"{word} {number}") for label, word in (("spam", "buy"), ("ham", "dear"))
         for number in range(10)]  # fmt: skip


@pytest.mark.parametrize("form", ["tabs", "csv"])
def test_labelled_sentences(form, tmp_path):
    if form == "tabs":
        content = "\n".join(f"{label}\t{text}, it said" for label, text in LINES)
    else:
        content = "id;Text;Label\n" + "\n".join(f'1;"{t}, it said";{label}' for label, t in LINES)
    splits = load_text(tmp_path, "sentences", content)
    assert splits.classes == ("ham", "spam")
    assert [len(part.y) for part in (splits.train, splits.validation, splits.test)] == [16, 2, 2]
    for x, y in (splits.train, splits.validation, splits.test):
        assert x.shape[1] == 5
        assert set(y) == {0, 1}
        assert ((x == splits.vocabulary.index("buy")).any(axis=1) == (y == 1)).all()
    words = {splits.vocabulary[n] for n in splits.train.x.ravel()}
    assert words <= set(splits.vocabulary)
    unseen = {str(n) for n in range(10)} - words
    assert not unseen & set(splits.vocabulary)  # made from the training part alone


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n" + "x,y\n" * 12, "has the columns a, b: name the two `label` and `text`"),
        ("\n".join(f"{n % 3}\ttext {n}" for n in range(20)), r"has 3 classes \(0, 1, 2\): two can"),
        ("\n".join(f"1\ttext {n}" for n in range(20)), r"has 1 classes \(1\): two can"),
        ("1\tgood\n0\tbad\n", "has 2 sentences: at least 10 are needed"),
        (
            "\n".join(f"{n % 2}\ttext {n}" for n in range(20)) + "\n1\t",
            "row 21 of .* has no sentence",
        ),
        ("\n".join(f"{n % 2}\ttext {n}" for n in range(20)) + "\n\t1", "row 21 of .* has no label"),
        (
            "\n".join(f"{n % 2}\ttext {n}" for n in range(20)) + "\n1\t...",
            "sentence 21 .* has no word",
        ),
        ("\n".join(f"{n % 2}\ttext" for n in range(20)), "the same stands under (0 and 1|1 and 0)"),
    ],
)
def test_wrong_sentences_are_one_line(content, message, tmp_path):
    with pytest.raises(DataError, match=message):
        load_text(tmp_path, "sentences", content)


# --- a text -------------------------------------------------------------------------------


def test_a_text_is_cut_in_its_own_order(tmp_path):
    text = "".join(chr(97 + (n * n) % 26) for n in range(8000)) + "X" * 1000 + "Y" * 1000
    splits = load_text(tmp_path, "text", text.replace("a", "a\r\n"), "own.txt")
    assert splits.classes[0] == "<unknown>"
    assert "\r" not in splits.classes
    assert "Y" not in splits.classes  # it stands at the end only
    assert (splits.test.x == 0).any()
    assert splits.train.x.shape[1] == 64
    with pytest.raises(DataError, match="has 10 characters: at least 5000 are needed"):
        load_text(tmp_path, "text", "too short ", "own.txt")


# --- parts --------------------------------------------------------------------------------


def test_the_parts_are_always_the_same_and_what_occurs_twice_lies_in_one():
    content = np.repeat(np.arange(50), 3)
    y = (content % 2).astype("int32")
    parts = cut(content, y, ("a", "b"))
    assert sorted(np.concatenate(parts)) == list(range(150))
    values = [set(content[rows]) for rows in parts]
    assert [len(each) for each in values] == [42, 4, 4]
    assert not values[0] & values[1] | values[0] & values[2] | values[1] & values[2]
    for first, second in zip(parts, cut(content, y, ("a", "b"))):
        assert first.tolist() == second.tolist()


# --- as flags -----------------------------------------------------------------------------


def parsed(key, *words):
    return flags.parse(contents.find(key), [str(word) for word in words])[0].get("dataset")


def test_flags_name_ones_own_data(tmp_path, capsys):
    path = tmp_path / "own.csv"
    path.write_text("")
    assert parsed(1, "--data", path) == f"table:{path}"
    assert parsed(1, "--data", path, "--target", "price") == f"table:{path}#price"
    assert parsed(3, "--data", tmp_path, "--size", 32) == f"pictures:{tmp_path}#32"
    assert parsed(4, "--data", path) == f"sentences:{path}"
    assert parsed(6, "--data", path) == f"text:{path}"
    assert parsed(6) == "shakespeare"
    for words, message in [
        ((1, "--data", tmp_path / "none"), "--data names a file or folder of yours"),
        ((1, "--target", "price"), "--target is for data of your own: name them with --data"),
        ((3, "--dataset", "mnist", "--data", path), "--data and --dataset both say what to train"),
        ((3, "--data", path, "--size", 7), "must be from 8 to 256, not 7"),
        ((5, "--data", path), "unrecognized arguments: --data"),
    ]:
        with pytest.raises(SystemExit):
            parsed(*words)
        assert message in capsys.readouterr().err


def test_what_stands_in_a_data_sets_place_can_be_read():
    assert set(flags.OWN.values()) == set(flags.OWN_DATA) == set(OWN) == set(own.READERS)
    assert all(isinstance(each, dict) for each in flags.OWN_DATA.values())


@pytest.mark.parametrize(
    ("key", "kind"), [("chapter1", "table"), ("chapter4", "sentences"), ("chapter6", "text")]
)
def test_chapters_train_on_ones_own_data_and_answer(key, kind, tmp_path):
    from pathlib import Path

    from kerasbook.inference.answers import Wishes, predict

    (tmp_path / "table").write_text(houses())
    (tmp_path / "sentences").write_text("\n".join(f"{label}\t{text}" for label, text in LINES))
    (tmp_path / "text").write_text("the end of the story, and another story. " * 150)
    out = tmp_path / "out"
    small = ["--width", "8", "--blocks", "1"] if key == "chapter6" else []
    with pytest.raises(SystemExit) as ended:
        runner.run(
            f"kerasbook.{key}",
            ["--data", str(tmp_path / kind), "--epochs", "1", "--quiet", "--jit", "off",
             "--output", str(out), *small],
        )  # fmt: skip
    assert ended.value.code == 0
    word = {"table": "5,50", "sentences": "dear 3", "text": "the "}[kind]
    (answer,) = predict(Path(out), [word], Wishes(length=5))
    assert answer["input"] == word
    assert {"table": "values", "sentences": "classes", "text": "text"}[kind] in answer


def test_chapter_3_trains_on_ones_own_pictures_and_answers(tmp_path):
    from kerasbook.inference.answers import Wishes, predict

    save_pictures(tmp_path / "pets", mode="RGB")
    words = ["--data", str(tmp_path / "pets"), "--size", "16", "--epochs", "1", "--quiet"]
    with pytest.raises(SystemExit) as ended:
        runner.run(
            "kerasbook.chapter3", [*words, "--output", str(tmp_path / "out"), "--jit", "off"]
        )
    assert ended.value.code == 0
    (answer,) = predict(tmp_path / "out", [str(tmp_path / "pets" / "cat" / "0.png")], Wishes())
    assert {each["class"] for each in answer["classes"]} == {"cat", "dog"}


def test_what_offers_data_of_ones_own_loads_them():
    for page in contents.chapters().values():
        if flags.own_kind(page):
            assert "load(dataset" in ast.unparse(flags.main_of(page)), page.key
