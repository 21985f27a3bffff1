# %% [markdown]
"""
# Where a loop goes astray

A training loop and `model.fit` can agree to the last digits. Yours does not? This page is an
appendix to [chapter 2](chapter2_training.ipynb): ten causes, each of them made on purpose and
measured. None of the ten raises an error. At its end a run is watched with TensorBoard.
"""

# %% tags=["hide-input"]
from pathlib import Path
from tempfile import TemporaryDirectory

from kerasbook import plotting
from kerasbook.chapter2_training import train_on_few
from kerasbook.data import load_fashion
from kerasbook.testing import divergence

import keras
import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

# %% [markdown]
# ## Ten switches
#
# The model is small and has all that a loop can forget: a penalty, batch normalisation, dropout, a
# short last batch. Its loop is right, until one of ten switches is thrown. Loop and `model.fit`
# train one epoch from the same weights. How far is the loop from `fit` then? Before you look: which
# of these would you notice from the loss alone?

# %%
if __name__ == "__main__":
    for name, what in divergence.SWITCHES.items():
        print(f"{name:22} {what}")

# %% alt="Two marks for each of ten mistakes on a log scale, how far the weights and how far the reported loss are from those of model.fit: all lie between a thousandth and ten, far to the right of the dashed line of rounding near a ten-millionth; the wrong metric moves the loss only."
if __name__ == "__main__":
    strayed = divergence.measure()
    divergence.plot(strayed)

# %%
if __name__ == "__main__":
    print(divergence.table_of(strayed))

# %% [markdown]
# The correct loop differs by rounding, everything else by far more. Some would be noticed: the loss
# of `from_logits` or of a sum is out of all proportion. Others would not. Another order of the
# batches changes the weights and hardly the loss; it is no mistake, nor are other dropped units,
# unless equal numbers are expected. With the penalty left out the weights move little, in *one*
# epoch. And a metric that is reported as the loss leaves the weights as they are: only the number
# on the screen is another one.
#
# So when two loops disagree, ask first which differs, the weights or what is reported.
#
# How does each come about? The loop of chapter 2 is `train_written_out`. To throw a switch, leave
# out its `training=True`, or its `sum(model.losses)`, and so on; the code of all ten is
# `kerasbook.testing.divergence`, in some forty lines.
#
# ## Watching from elsewhere
#
# **TensorBoard** draws the curves of a run while it goes on, in a page of its own, and those of
# earlier runs beside them. A callback writes its files, once per epoch; a chapter's program has the
# flag `--tensorboard` for it. In a notebook two lines open the page:
#
#     %load_ext tensorboard
#     %tensorboard --logdir runs/chapter2_training/tensorboard
#
# The page lives only as long as the notebook runs. So here we read back from the files what it
# would draw under the name `epoch_loss`.


# %%
def logged_losses(folder) -> dict[str, list[float]]:
    """Returns the curves `epoch_loss` in TensorBoard's files: of "train" and "validation"."""
    curves = {}
    for name in ("train", "validation"):
        events = EventAccumulator(str(Path(folder) / name)).Reload()
        losses = [tf.make_ndarray(event.tensor_proto) for event in events.Tensors("epoch_loss")]
        curves[name] = [float(loss) for loss in losses]
    return curves


# %% alt="Two curves over five epochs, read from TensorBoard's files: the training loss falls from above 1 to about 0.4, the validation loss flattens above 0.5."
if __name__ == "__main__":
    splits = load_fashion()
    with TemporaryDirectory() as folder:
        _, history = train_on_few(splits, epochs=5, callbacks=[keras.callbacks.TensorBoard(folder)])
        curves = logged_losses(folder)
    plotting.plot_lines(curves, x_label="epoch", y_label="epoch_loss")
    print("the same as in History:", np.allclose(curves["train"], history.history["loss"]))

# %% [markdown]
# To keep such files of a program's run: `python -m kerasbook.chapter2_training --output runs/try
# --tensorboard`, then `tensorboard --logdir runs/try`.
