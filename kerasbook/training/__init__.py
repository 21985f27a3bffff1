"""Training: one step, and the loop that repeats it. Read step.py first: it is the lesson.

The chapters take their names from here. Behind them, each in a file of its own: the loop of
epochs (fitting.py), many steps in one compiled call (loops.py), the data in batches (batches.py),
what is asked of arguments (checks.py), XLA (compiling.py), several devices (devices.py,
replicas.py), saving and going on (checkpoint.py), the bar (progress.py).
"""

import keras

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        "kerasbook trains with TensorFlow, but Keras was imported before it with the backend "
        f"{keras.backend.backend()}: import kerasbook first"
    )

from kerasbook.training.batches import batch_order
from kerasbook.training.fitting import evaluate, fit, predict
from kerasbook.training.history import History, Interrupted, NonFiniteLoss
from kerasbook.training.step import make_test_step, make_train_step, total_loss

__all__ = [
    "History",
    "Interrupted",
    "NonFiniteLoss",
    "batch_order",
    "evaluate",
    "fit",
    "make_test_step",
    "make_train_step",
    "predict",
    "total_loss",
]
