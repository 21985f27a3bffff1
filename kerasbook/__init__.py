"""kerasbook: a book on neural networks that runs.

Importing the package is cheap: it has Keras begin with its defaults and the TensorFlow backend,
whatever ~/.keras/keras.json says, quiets TensorFlow's start-up messages and imports nothing heavy.
Import it before keras: the backend is chosen only once.
"""

import os
import sys

if sys.argv[:1] == ["-m"] and sys.path[:1] == [os.getcwd()]:
    # `python -m kerasbook…` looks first into the working folder: a keras.py or random.py there
    # would be taken for the library.
    sys.path.append(sys.path.pop(0))

from kerasbook.quiet import quiet_tensorflow
from kerasbook.settings import pin

__version__ = "0.2.0"

pin()
quiet_tensorflow()
