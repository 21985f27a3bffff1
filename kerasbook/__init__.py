"""kerasbook: a book on neural networks that runs.

Importing the package is cheap: it has Keras begin with its defaults and the TensorFlow backend,
whatever ~/.keras/keras.json says, quiets TensorFlow's start-up messages and imports nothing heavy.
Import it before keras: the backend is chosen only once.
"""

import os
import sys

if sys.argv[:1] == ["-m"] or "ipykernel" in sys.modules:
    # `python -m kerasbook…` and a notebook's kernel look into the working folder before they look
    # among the installed packages: a keras.py there would be taken for the library.
    for _folder in ("", os.getcwd()):
        if _folder in sys.path:
            sys.path.remove(_folder)
            sys.path.append(_folder)

from kerasbook.quiet import quiet_tensorflow
from kerasbook.settings import pin

__version__ = "0.2.0"

pin()
quiet_tensorflow()
