"""kerasbook: a book on neural networks that runs.

Importing the package is cheap: it has Keras begin with its defaults and the TensorFlow backend,
whatever ~/.keras/keras.json says, quiets TensorFlow's start-up messages and imports nothing heavy.
Import it before keras: the backend is chosen only once.
"""

from kerasbook.quiet import quiet_tensorflow
from kerasbook.settings import pin

__version__ = "0.1.0"

pin()
quiet_tensorflow()
