"""The correct loop is `model.fit` to rounding, and each switch takes it away from there."""

from kerasbook.chapter2_training import train_on_few
from kerasbook.data import Part, Splits
from kerasbook.pages.divergence import logged_losses
from kerasbook.testing import divergence

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest

ROUNDING = 1e-6
# switch: at least so far from model.fit: the reported loss, the weights; None: not at all
FAR = {
    "training=True missing": (1e-2, 0.1),
    "losses left out": (1e-2, 1e-3),
    "last batch": (1e-3, 1e-2),
    "shuffling seed": (1e-5, 1e-2),
    "batch statistics": (1e-2, 0.1),
    "dropout seed": (1e-3, 1e-2),
    "from_logits": (1, 0.5),
    "(n,) against (n, 1)": (1e-3, 1e-2),
    "metric against loss": (1e-2, None),
    "reduction": (5, 0.3),
}


@pytest.fixture(scope="module")
def found():
    return divergence.measure()


def test_there_are_ten_switches_and_each_is_tested():
    assert list(FAR) == list(divergence.SWITCHES)
    assert len(FAR) == 10


def test_the_correct_loop_is_model_fit(found):
    assert max(found["correct"]) < ROUNDING


@pytest.mark.parametrize("name", FAR)
def test_each_switch_leads_away(found, name):
    for difference, least in zip(found[name], FAR[name], strict=True):
        if least is None:
            assert difference < ROUNDING
        else:
            assert difference > least


def test_an_unknown_switch_is_told_with_those_there_are():
    with pytest.raises(ValueError, match=r"no switch 'seed': there are training=True missing"):
        divergence.by_tape(*divergence.make_data(), "seed")


def test_table_and_picture_have_every_switch(found):
    text = divergence.table_of(found)
    assert all(name in text for name in ("correct", *FAR))
    ax = divergence.plot(found)
    assert [label.get_text() for label in ax.get_yticklabels()] == list(FAR)
    weights, losses, line = ax.lines
    assert len(weights.get_xdata()) == 9  # a metric for the loss changes no weight
    assert len(losses.get_xdata()) == 10
    assert line.get_xdata()[0] < ROUNDING
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    plt.close(ax.figure)


def test_what_tensorboard_would_draw_is_read_back(tmp_path):
    x, y = np.random.default_rng(0).normal(size=(60, 2, 20, 1)), np.arange(60) % 10
    part = Part(x.astype("float32"), y.astype("int32"))
    splits = Splits(part, part, part, "made_up", "Made up", "kind", "embedded")
    callback = keras.callbacks.TensorBoard(str(tmp_path))
    _, history = train_on_few(splits, epochs=2, callbacks=[callback])
    curves = logged_losses(tmp_path)
    np.testing.assert_allclose(curves["train"], history.history["loss"])
    np.testing.assert_allclose(curves["validation"], history.history["val_loss"])
