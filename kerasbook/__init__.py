"""kerasbook: a book on neural networks that runs.

Importing the package is cheap: it chooses Keras' backend, quiets TensorFlow's start-up messages
and imports nothing heavy. Import it before keras: the backend is chosen only once.
"""

import os

from kerasbook.quiet import quiet_tensorflow

__version__ = "0.1.0"

# Keras 3 runs on several backends; the loops of this book are written for TensorFlow.
os.environ["KERAS_BACKEND"] = "tensorflow"
quiet_tensorflow()
