"""A chapter as a program: flags, errors in one line, and the files that it leaves."""

import importlib
import inspect
import json
import os
import signal
import subprocess
import sys
import time
from typing import Literal, get_origin

from kerasbook import chapter1, runner
from kerasbook.data import DataError

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


def test_the_same_seed_gives_the_same_scores_and_loop_fit_too(tmp_path):
    for name, flags in {"a": [], "fit": ["--loop", "fit"], "c": ["--seed", 5]}.items():
        call("--epochs", 2, "--jit", "off", "--quiet", "--output", tmp_path / name, *flags)
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


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_chapter_names_the_data_sets_that_suit_it(number):
    main = importlib.import_module(f"kerasbook.chapter{number}").main
    assert get_origin(inspect.signature(main).parameters["dataset"].annotation) is Literal


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [(int, int), (int | None, int), (Literal["a", "b"], Literal["a", "b"]),
     (Literal["a", "b"] | None, Literal["a", "b"])],
)  # fmt: skip
def test_a_flag_that_may_be_none_is_of_the_other_kind(annotation, kind):
    assert runner._without_none(annotation) == kind


def test_a_data_set_of_another_chapter_is_one_line(tmp_path, capsys):
    flags = ["--dataset", "verses", "--output", tmp_path]
    assert call(*flags, module="kerasbook.chapter6") == 2
    assert "invalid choice: 'verses' (choose from" in capsys.readouterr().err


def test_quiet_prints_nothing(tmp_path, capfd):
    call("--epochs", 1, "--jit", "off", "--quiet", "--output", tmp_path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--epoch", "3"], "unrecognized arguments: --epoch"),
        (["--epochs", "three"], "argument --epochs: invalid int value: 'three'"),
        (["--epochs", "-1"], "argument --epochs: must be from 1 to inf, not -1"),
        (["--epochs", "0"], "argument --epochs: must be from 1"),
        (["--batch-size", "0"], "argument --batch-size: must be from 1"),
        (["--seed", "5000000000"], "argument --seed: must be from 0 to 4294967295"),
        (["--examples", "0"], "argument --examples"),
        (["--momentum", "2"], "argument --momentum: must be from 0 to 1"),
        (["--learning-rate", "nan"], "argument --learning-rate"),
        (["--loop", "keras"], "argument --loop: invalid choice"),
        (["--dataset", "auto_mgp"], "invalid choice: 'auto_mgp'"),
        (["--output", "/dev/null/x"], "cannot write into"),
    ],
)
def test_bad_flags_are_one_line_and_exit_2(flags, message, tmp_path, capsys):
    output = [] if "--output" in flags else ["--output", tmp_path]
    assert call(*output, *flags) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("error: ")
    assert message in error


def test_help_shows_the_flags_of_main(capsys):
    assert call("--help") == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "--learning-rate FLOAT length of a step (default: 0.01)" in printed
    assert "--resume" in printed


def test_resume_with_other_flags_is_refused_and_with_nothing_starts_anew(tmp_path, capsys):
    flags = ["--output", tmp_path, "--jit", "off", "--epochs", 1]
    assert call(*flags, "--resume") == 0
    assert "nothing to resume" in capsys.readouterr().out
    assert call(*flags, "--resume", "--examples", 100) == 2
    assert "holds a run with --examples None, not 100" in capsys.readouterr().err
    assert call(*flags, "--resume", "--epochs", 2, "--quiet") == 0
    assert json.loads((tmp_path / "report.json").read_text())["epochs"] == 2


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="there is a GPU")
def test_without_a_gpu_the_flag_gives_one_line(tmp_path, capsys):
    assert call("--output", tmp_path, "--device", "gpu") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: TensorFlow sees no GPU here: install its CUDA libraries")
    assert error.count("\n") == 1
    assert call("--output", tmp_path, "--device", "cpu", "--epochs", 1, "--quiet") == 0
    assert json.loads((tmp_path / "report.json").read_text())["device"].startswith("CPU")


def test_mixed_precision_and_tensorboard(tmp_path):
    flags = ["--output", tmp_path, "--epochs", 1, "--jit", "off", "--quiet", "--tensorboard"]
    try:
        assert call(*flags, "--mixed-precision", "float16") == 0
    finally:
        keras.config.set_dtype_policy("float32")
    assert json.loads((tmp_path / "report.json").read_text())["mixed_precision"] == "float16"
    assert list((tmp_path / "tensorboard" / "train").glob("events*"))


def test_a_diverging_run_exits_1_and_keeps_the_history(tmp_path, capsys):
    flags = ["--learning-rate", 1.05, "--momentum", 0, "--batch-size", 236, "--jit", "off"]
    assert call("--output", tmp_path, "--epochs", 500, *flags) == 1
    assert "the loss became NaN or infinite at step" in capsys.readouterr().err
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["finished"] is False
    assert report["epochs"] == len(report["history"]["loss"]) > 0


def test_scores_are_compared_with_their_band(monkeypatch):
    band = {"values": [1, 2, 3], "mean": 2.0, "sd": 1.0, "band": [1.0, 3.0]}
    results = {"chapter1": {"auto_mpg": {"scores": {"test": {"mae": band}}}}}
    monkeypatch.setattr(runner, "load_results", lambda: results)

    def line(value, is_default=True):
        return runner._score_lines("chapter1", "auto_mpg", {"test": {"mae": value}}, is_default)

    assert line(2.5) == "test mae 2.5  (inside the band 1 to 3 of 3 seeds)"
    assert "OUTSIDE the band" in line(3.5)
    assert line(3.5, is_default=False) == "test mae 3.5  (default settings: 2 ± 1)"


def program(folder, *flags):
    """The chapter as a reader starts it."""
    command = [sys.executable, "-m", "kerasbook.chapter1", "--output", str(folder), "--jit", "off"]
    return subprocess.Popen(
        [*command, *map(str, flags)],
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

    flags = ["--epochs", report["epochs"] + 10, "--quiet"]
    assert call(*flags, "--jit", "off", "--resume", "--output", tmp_path / "run") == 0
    assert call(*flags, "--jit", "off", "--output", tmp_path / "whole") == 0
    histories = [
        json.loads((tmp_path / name / "report.json").read_text())["history"]["val_loss"]
        for name in ("run", "whole")
    ]
    assert len(histories[0]) == report["epochs"] + 10
    np.testing.assert_array_equal(*histories)
