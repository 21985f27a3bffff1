"""A chapter as a program: flags, errors in one line, and the files that it leaves."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from types import SimpleNamespace
from typing import Literal

from kerasbook import chapter1, contents, runner
from kerasbook.data import DataError
from kerasbook.runner import flags, report

import keras
import numpy as np
import pytest
import tensorflow as tf


def call(*arguments, module="kerasbook.chapter1"):
    """Runs the program in this process; returns its exit status."""
    with pytest.raises(SystemExit) as caught:
        runner.run(module, [str(argument) for argument in arguments])
    return caught.value.code


def test_a_run_leaves_its_files_and_says_so(tmp_path, capsys):
    assert call("--epochs", 2, "--output", tmp_path, "--jit", "off") == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert {
        "chapter", "dataset", "loop", "seed", "epochs", "history", "scores", "seconds",
        "versions", "files",
    } <= set(report)  # fmt: skip
    assert report["chapter"] == "chapter1"
    assert report["epochs"] == len(report["history"]["loss"]) == 2
    assert set(report["scores"]) == {"validation", "test"}
    assert report["command"].startswith("python -m kerasbook.chapter1 --epochs 2 --output ")
    assert report["compiled"] is False
    assert abs(datetime.fromisoformat(report["started"]).timestamp() - time.time()) < 3600
    assert {"import", "data", "train", "total"} <= set(report["seconds"])
    assert set(report["files"]) | {"checkpoint"} == set(os.listdir(tmp_path))
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert lines[0] == "epoch,loss,mae,val_loss,val_mae"
    assert lines[2].startswith("2,")
    model = keras.models.load_model(tmp_path / "model.keras")
    assert model.count_params() == 9

    printed = capsys.readouterr().out
    for part in ("Chapter 1. Linear regression", "Auto MPG", "CPU", "Total params: 9",
                 "epoch 2/2", "test mae", "total", "report.json"):  # fmt: skip
        assert part in printed


def test_the_title_comes_before_tensorflow(monkeypatch, tmp_path, capsys):
    """Importing it takes seconds; the first line need not wait for them."""
    late = SimpleNamespace(execute=lambda *_: print("TensorFlow"))
    monkeypatch.setitem(sys.modules, "kerasbook.runner.execution", late)
    assert call("--output", tmp_path) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert (first, second) == ("Chapter 1. Linear regression", "TensorFlow")


@pytest.mark.parametrize(
    "error", [tf.errors.ResourceExhaustedError(None, None, "OOM when allocating"), MemoryError()]
)
def test_memory_that_runs_out_is_one_line(monkeypatch, tmp_path, capsys, error):
    def main(**_):
        raise error

    monkeypatch.setattr(chapter1, "main", main)
    assert call("--output", tmp_path) == 2
    assert capsys.readouterr().err.startswith("error: the memory ran out: take a smaller --batch")


def test_what_an_earlier_run_left_does_not_stay_beside_the_new_one(tmp_path):
    logs, own = tmp_path / "tensorboard" / "train", tmp_path / "notes.png"
    logs.mkdir(parents=True)
    (logs / "events.out.tfevents.1").write_text("old")
    names = ["history.csv", "old_picture.png", "../elsewhere.png", "report.json"]
    for path in (own, tmp_path / "old_picture.png", tmp_path.parent / "elsewhere.png"):
        path.write_text("")
    (tmp_path / "report.json").write_text(json.dumps({"files": names}))
    assert call("--epochs", 1, "--output", tmp_path, "--jit", "off", "--quiet") == 0
    assert not (tmp_path / "old_picture.png").exists()
    assert not list(logs.iterdir())
    assert own.exists()
    assert (tmp_path.parent / "elsewhere.png").exists()


def test_an_interrupted_run_says_whether_resume_goes_on(tmp_path):
    assert runner.whether_resumable(tmp_path).startswith("nothing was saved yet")
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / ".unfinished-1-a.npz").write_text("")
    assert runner.whether_resumable(tmp_path).startswith("nothing was saved yet")
    (tmp_path / "checkpoint" / "1.npz").write_text("")
    assert "--resume goes on" in runner.whether_resumable(tmp_path)


def test_bands_hold_nothing_that_a_score_cannot_be():
    bands = [
        (metric, score["band"])
        for page in contents.load_results().values()
        for entry in page.values()
        for part in entry.get("scores", {}).values()
        for metric, score in part.items()
    ]
    assert any(band[1] == 1 for metric, band in bands if "accuracy" in metric)
    for metric, (low, high) in bands:
        assert "accuracy" not in metric or high <= 1
        assert "loss" not in metric or low >= 0


def test_the_same_seed_gives_the_same_scores_and_loop_fit_too(tmp_path):
    for name, more in {"a": [], "fit": ["--loop", "fit"], "c": ["--seed", 5]}.items():
        call("--epochs", 2, "--jit", "off", "--quiet", "--output", tmp_path / name, *more)
    scores = {
        name: json.loads((tmp_path / name / "report.json").read_text())["scores"]
        for name in ("a", "fit", "c")
    }
    assert scores["a"] == scores["fit"] != scores["c"]


def test_quick_changes_only_what_was_not_given(monkeypatch, tmp_path):
    seen = {}
    monkeypatch.setattr(
        chapter1, "main", _main_that(lambda **flags: seen.update(flags) or _stop(DataError("x")))
    )
    call("--quick", "--output", tmp_path)
    assert (seen["epochs"], seen["examples"]) == (1, 512)
    call("--quick", "--epochs", 7, "--output", tmp_path)
    assert (seen["epochs"], seen["examples"]) == (7, 512)


def _main_that(action):
    def main(epochs: int = 3, examples: int | None = None, seed: int = 0, **fit_options):
        """Does nothing much.

        Args:
            epochs: so many
        """
        action(epochs=epochs, examples=examples, seed=seed, **fit_options)

    return main


def _stop(error):
    raise error


@pytest.mark.parametrize("key", contents.chapters())
def test_what_a_chapter_tells_of_itself_is_what_its_main_has(key):
    page = contents.find(key)
    known = {flag.name: flag for flag in flags.flags_of(page)}
    assert page.about.datasets
    assert page.about.headline
    assert page.about.minutes
    assert set(page.about.bounds) <= set(known)
    assert set(page.about.quick) <= set(known)
    if "dataset" in known:
        assert set(known["dataset"].choices) <= set(page.about.datasets)
    for words in page.about.runs:
        flags.parse(page, words.split())
    for other in page.about.old_flags.values():
        assert contents.find(other).is_chapter


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [(int, int), (int | None, int), (Literal["a", "b"], Literal["a", "b"]),
     (Literal["a", "b"] | None, Literal["a", "b"])],
)  # fmt: skip
def test_a_flag_that_may_be_none_is_of_the_other_kind(annotation, kind):
    choices = getattr(kind, "__args__", None)
    assert flags.kind_of(annotation) == (str if choices else kind, choices)


def test_a_data_set_of_another_chapter_is_one_line(tmp_path, capsys):
    assert call("--dataset", "verses", "--output", tmp_path, module="kerasbook.chapter6") == 2
    assert "invalid choice: 'verses' (choose from" in capsys.readouterr().err


def test_quiet_prints_nothing(tmp_path, capfd):
    call("--epochs", 1, "--jit", "off", "--quiet", "--output", tmp_path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--epoch", "3"], "unrecognized arguments: --epoch"),
        (["--epochs", "three"], "argument --epochs: invalid int value: 'three'"),
        (["--epochs", "-1"], "argument --epochs: must be at least 1, not -1"),
        (["--epochs", "0"], "argument --epochs: must be at least 1"),
        (["--batch-size", "0"], "argument --batch-size: must be at least 1"),
        (["--seed", "5000000000"], "argument --seed: must be from 0 to 4294967295"),
        (["--examples", "0"], "argument --examples"),
        (["--momentum", "2"], "argument --momentum: must be from 0 to 1"),
        (["--learning-rate", "nan"], "argument --learning-rate"),
        (["--loop", "keras"], "argument --loop: invalid choice"),
        (["--dataset", "auto_mgp"], "invalid choice: 'auto_mgp'"),
        (["--output", "/dev/null/x"], "cannot write into"),
        (["--workers", "2", "--devices", "2"], "--workers and --devices both say"),
    ],
)
def test_bad_flags_are_one_line_and_exit_2(more, message, tmp_path, capsys):
    output = [] if "--output" in more else ["--output", tmp_path]
    assert call(*output, *more) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("error: ")
    assert message in error


def test_help_shows_the_flags_of_main(capsys):
    assert call("--help") == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "--learning-rate FLOAT length of a step (default: 0.01)" in printed
    assert "--resume" in printed
    assert "default: None" not in printed
    assert "default: False" not in printed


def test_resume_with_other_flags_is_refused_and_with_nothing_starts_anew(tmp_path, capsys):
    more = ["--output", tmp_path, "--jit", "off", "--epochs", 1]
    assert call(*more, "--resume") == 0
    assert "nothing to resume" in capsys.readouterr().out
    assert call(*more, "--resume", "--examples", 100) == 2
    assert "holds a run with --examples None, not 100" in capsys.readouterr().err
    assert call(*more, "--resume", "--epochs", 2, "--quiet") == 0
    assert json.loads((tmp_path / "report.json").read_text())["epochs"] == 2


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="there is a GPU")
def test_without_a_gpu_the_flag_gives_one_line(tmp_path, capsys):
    assert call("--output", tmp_path, "--device", "gpu") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: TensorFlow sees no GPU here: install its CUDA libraries")
    assert error.count("\n") == 1
    assert call("--output", tmp_path, "--device", "cpu", "--epochs", 1, "--quiet") == 0
    assert json.loads((tmp_path / "report.json").read_text())["device"].startswith("CPU")


@pytest.mark.filterwarnings("ignore:float16 on a CPU")
def test_mixed_precision_and_tensorboard(tmp_path):
    more = ["--output", tmp_path, "--epochs", 1, "--jit", "off", "--quiet", "--tensorboard"]
    try:
        assert call(*more, "--mixed-precision", "float16") == 0
    finally:
        keras.config.set_dtype_policy("float32")
    assert json.loads((tmp_path / "report.json").read_text())["mixed_precision"] == "float16"
    assert list((tmp_path / "tensorboard" / "train").glob("events*"))


def test_a_diverging_run_exits_1_and_keeps_the_history(tmp_path, capsys):
    more = ["--learning-rate", 1.05, "--momentum", 0, "--batch-size", 236, "--jit", "off"]
    assert call("--output", tmp_path, "--epochs", 500, *more) == 1
    assert "the loss became NaN or infinite at step" in capsys.readouterr().err
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["finished"] is False
    assert report["epochs"] == len(report["history"]["loss"]) > 0


def test_scores_are_compared_with_their_band(monkeypatch):
    band = {"values": [1, 2, 3], "mean": 2.0, "sd": 1.0, "band": [1.0, 3.0]}
    results = {"chapter1": {"auto_mpg": {"scores": {"test": {"mae": band}}}}}
    monkeypatch.setattr(report, "load_results", lambda: results)
    page = contents.find(1)
    entry = report.entry_of(page, "auto_mpg")
    assert report.entry_of(page, "mnist") == report.entry_of(contents.find(2), "auto_mpg") == {}

    def line(value, is_default=True):
        return report.score_lines({"test": {"mae": value}}, entry, is_default)

    assert line(2.5) == "test mae 2.5  (inside the band 1 to 3 of 3 seeds)"
    assert "OUTSIDE the band" in line(3.5)
    assert line(3.5, is_default=False) == "test mae 3.5  (default settings: 2 ± 1)"


def test_a_band_is_of_the_flags_that_its_runs_had(page):
    defaults, _ = flags.parse(page, [])
    long, _ = flags.parse(page, ["--length", "9", "--seed", "3"])
    assert report.has_kept_settings(page, {"flags": ""}, defaults | {"seed": 5})
    assert not report.has_kept_settings(page, {"flags": ""}, long)
    assert report.has_kept_settings(page, {"flags": "--length 9"}, long)
    assert not report.has_kept_settings(page, {"flags": "--length 9"}, defaults)
    assert not report.has_kept_settings(page, {}, defaults)


# --- flags, read without importing the chapter --------------------------------------------

CHAPTER = '''
import a_module_that_is_not_there

Kind = Literal["soft", "hard"]
RATE = 0.5
ABOUT = {
    "bounds": {"rate": [0, 1], "length": [2, None]},
    "quick": {"length": 3},
    "old_flags": {"--kind dense": "chapter2", "--sparse": "chapter3"},
}


def main(length: int = 5, rate: float = RATE, kind: Kind | None = None, seed: int = 0, **fit):
    """Does nothing.

    Args:
        length: in steps
    """
'''


@pytest.fixture
def page(tmp_path):
    file = tmp_path / "chapter42_toy.py"
    file.write_text(CHAPTER)
    return contents.Page("kerasbook.chapter42_toy", file)


def test_flags_are_read_without_importing_the_chapter(page):
    assert [(f.name, f.kind, f.choices, f.default) for f in flags.flags_of(page)] == [
        ("length", int, None, 5),
        ("rate", float, None, 0.5),
        ("kind", str, ("soft", "hard"), None),
        ("seed", int, None, 0),
    ]
    own, common = flags.parse(page, ["--kind", "hard", "--quiet"])
    assert own == {"length": 5, "rate": 0.5, "kind": "hard", "seed": 0}
    assert common.quiet
    assert str(common.output) == "runs/chapter42_toy"
    assert flags.parse(page, ["--quick"])[0]["length"] == 3
    assert flags.parse(page, ["--quick", "--length", "8"])[0]["length"] == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--rate", "1.5"], "from 0 to 1, not 1.5"), (["--length", "1"], "at least 2, not 1")],
)
def test_bounds_are_the_chapters_own(page, arguments, message, capsys):
    with pytest.raises(SystemExit):
        flags.parse(page, arguments)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("main", "message"),
    [
        ("def main(x: list = []):\n    pass", "list cannot be a flag"),
        ("def main(x: int):\n    pass", "every argument a type and a default"),
        ("def main(x=1):\n    pass", "every argument a type and a default"),
        ("x = 1", "has no main"),
        ("ABOUT = {'minute': 1}\ndef main():\n    pass", "unexpected keyword argument 'minute'"),
        ("ABOUT = {'minutes': 2 * n}\ndef main():\n    pass", "ABOUT in chapter42_toy.py"),
    ],
)
def test_a_main_or_an_about_that_cannot_be_used_says_why(page, main, message):
    page.path.write_text(main)
    with pytest.raises(ValueError, match=message):
        flags.make_parser(page)


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--kind", "dense", "--epochs", "2"], ("chapter2", ["--epochs", "2"])),
        (["--epochs", "2", "--kind=dense"], ("chapter2", ["--epochs", "2"])),
        (["--sparse"], ("chapter3", [])),
        (["--kind", "soft", "dense"], None),
    ],
)
def test_old_flags_stand_for_another_chapter(page, arguments, found):
    assert flags.moved(page, arguments) == found


def test_old_flags_print_the_new_command_and_run_it(page, monkeypatch, capsys):
    monkeypatch.setattr(contents, "read", lambda module: page)
    assert call("--sparse", "--loop", "keras") == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first == "this is now: python -m kerasbook.chapter3 --loop keras"
    assert second.startswith("error: argument --loop: invalid choice")


@pytest.mark.parametrize("arguments", [["--help"], ["--epochs", "0"]])
def test_help_and_wrong_flags_import_nothing_heavy(arguments):
    heavy = "{'tensorflow', 'keras', 'numpy', 'matplotlib'}"
    code = f"""
import sys, runpy
sys.argv = ["chapter3", *{arguments}]
try:
    runpy.run_module("kerasbook.chapter3", run_name="__main__")
finally:
    print(sorted({heavy} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == (0 if arguments == ["--help"] else 2)
    assert done.stdout.splitlines()[-1] == "[]"


def test_in_a_kernel_run_does_nothing(monkeypatch):
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setattr(sys, "argv", ["ipykernel_launcher.py", "-f", "kernel.json"])
    assert runner.run("kerasbook.chapter1") is None
    shell.kernel = None  # IPython in a terminal is no kernel
    with pytest.raises(SystemExit):
        runner.run("kerasbook.chapter1")


# --- interrupted --------------------------------------------------------------------------


def program(folder, *more):
    """The chapter as a reader starts it."""
    command = [sys.executable, "-m", "kerasbook.chapter1", "--output", str(folder), "--jit", "off"]
    return subprocess.Popen(
        [*command, *map(str, more)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests are a shell's job in the background, its children are deaf to Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.mark.slow  # tests/test_survival.py has a quick one
def test_ctrl_c_saves_and_resume_goes_on_to_the_same_scores(tmp_path):
    with program(tmp_path / "run", "--epochs", "100000") as started:
        while not list(tmp_path.glob("run/checkpoint/*.npz")):
            time.sleep(0.05)
            assert started.poll() is None
        started.send_signal(signal.SIGINT)
        out, error = started.communicate(timeout=100)
    assert started.returncode == 130, error
    assert error.startswith("error: interrupted after ")
    assert "Traceback" not in error + out
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["finished"] is False
    assert keras.models.load_model(tmp_path / "run" / "model.keras")

    more = ["--epochs", report["epochs"] + 10, "--quiet"]
    assert call(*more, "--jit", "off", "--resume", "--output", tmp_path / "run") == 0
    assert call(*more, "--jit", "off", "--output", tmp_path / "whole") == 0
    histories = [
        json.loads((tmp_path / name / "report.json").read_text())["history"]["val_loss"]
        for name in ("run", "whole")
    ]
    assert len(histories[0]) == report["epochs"] + 10
    np.testing.assert_array_equal(*histories)
