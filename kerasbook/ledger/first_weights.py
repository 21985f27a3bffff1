"""The scale of the first weights, beside that of Keras' initialisers.

Both are drawn at random, so that what is compared is their standard deviation over tens of
thousands of weights, which chance moves by less than 1 %. Within 3 % it counts as the same.
"""

from kerasbook import chapter2_deep_network, chapter2_training, chapter6
from kerasbook.ledger.core import Pairs, claim, mutant

import keras
import numpy as np
from keras import initializers

PICTURES, ENOUGH = (16, 16), 300  # units


def scales(weights, initializer: keras.initializers.Initializer) -> Pairs:
    """Returns the pairs of the standard deviations of weight matrices, ours and Keras'.

    A ratio within 3 % of 1 counts as 1.
    """
    pairs = {}
    for number, weight in enumerate(map(np.asarray, weights)):
        ratio = weight.std() / np.asarray(initializer(weight.shape)).std()
        pairs[f"values of the scale {number}"] = 1 if abs(ratio - 1) < 0.03 else ratio, 1
    return pairs


def he_of(gain: float = 2.0) -> keras.initializers.Initializer:
    """Returns Keras' initialiser of the variance gain / inputs."""
    return initializers.VarianceScaling(gain, "fan_in", "untruncated_normal", seed=1)


def kernels_of(model: keras.Model) -> list:
    """Returns the weight matrices of a model's dense layers."""
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    return [layer.kernel for layer in dense]


@claim("chapter2_deep_network", "first weights: scale = Keras' VarianceScaling", sources="NK")
def _(draw):
    gain = float(draw.random.uniform(0.5, 4))
    sizes = (ENOUGH, 2 * ENOUGH, ENOUGH)
    weights = chapter2_deep_network.initial_weights(sizes, gain, draw.size(), draw.dtype)
    biases = {"values of the biases": (weights[1], np.zeros(2 * ENOUGH))}
    he = chapter2_deep_network.initial_weights(sizes, seed=draw.size())  # without a gain
    biases |= {f"{name}, He": pair for name, pair in scales(he[::2], he_of()).items()}
    stack = chapter2_deep_network.make_stack(gain, True, hidden=2, units=ENOUGH)
    return scales([*weights[::2], *kernels_of(stack)[:2]], he_of(gain)) | biases


@claim("chapter2_deep_network", "first weights: the model's = he_normal", sources="K")
def _(draw):
    model = chapter2_deep_network.make_model(PICTURES, 10, (ENOUGH, ENOUGH))
    return scales(kernels_of(model)[:-1], he_of())


@claim("chapter2_training", "first weights: the model's = he_normal", sources="K")
def _(draw):
    model = chapter2_training.make_model(PICTURES, 10, (ENOUGH, ENOUGH))
    return scales(kernels_of(model)[:-1], he_of())


@claim(6, "first weights: the table's variance is 1 / width, the logits' small", sources="K")
def _(draw):
    width = 32 * draw.size()
    table = chapter6.TokenEmbedding(2 * ENOUGH, width)
    table(np.zeros((1, 3), "int32"))
    logits = chapter6.logits_layer(ENOUGH)
    logits.build((None, ENOUGH))
    found = scales([table.table.embeddings], initializers.RandomNormal(stddev=width**-0.5, seed=1))
    small = scales([logits.kernel], initializers.RandomNormal(stddev=0.02, seed=1))
    return found | {f"{name}, logits": pair for name, pair in small.items()}


# --- mistakes to be seen --------------------------------------------------------------------

_DEEP = "chapter2_deep_network"
_HE = 'kernel_initializer="he_normal"'
mutant(
    _DEEP,
    chapter2_deep_network.initial_weights,
    "(gain / inputs) ** 0.5",
    "(gain / units) ** 0.5",
    "divided by the outputs",
    by="first",
)
mutant(
    _DEEP,
    chapter2_deep_network.initial_weights,
    "gain=2.0",
    "gain=1.0",
    "half of He's variance",
    by="first",
)
mutant(
    _DEEP,
    chapter2_deep_network.initial_weights,
    " ** 0.5",
    "",
    "variance for deviation",
    by="first",
)
mutant(
    _DEEP,
    chapter2_deep_network.make_stack,
    "VarianceScaling(gain",
    "VarianceScaling(1",
    "no gain",
    by="first",
)
mutant(
    _DEEP,
    chapter2_deep_network.make_model,
    _HE,
    'kernel_initializer="glorot_normal"',
    "Glorot",
    by="first",
)
mutant(
    "chapter2_training", chapter2_training.make_model, _HE, "use_bias=True", "Glorot", by="first"
)
mutant(6, chapter6.TokenEmbedding, "width**-0.5", "0.05", "the scale of every width", by="first")
mutant(6, chapter6.logits_layer, "stddev=0.02", "stddev=0.05", "logits that are large", by="first")
