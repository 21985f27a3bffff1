# %% [markdown]
"""
# The articles' mistakes

The book follows five Chinese articles about large models, here called A0 to A4. They hold 27
mistakes. None of them is rare: each is made every day, and most of them make no noise. This page
shows each one: what the article says, what happens when it is run, and the right form. For all
that can be run there are two functions, `wrong_…` and `right_…`, and a test for each of them.

The articles write some models in PyTorch. Here the same mistake is made in Keras or TensorFlow.
Where the code itself is PyTorch's and can be run, a third line says what it gives: run here if
PyTorch is installed, and otherwise as it was recorded with PyTorch 2.13.
"""

# %%
import importlib.util
import math
import re

from kerasbook.chapter1 import gradient, linear, numerical_gradient
from kerasbook.chapter2 import double_softmax_floor, double_softmax_loss
from kerasbook.chapter2_training import l2_gradients
from kerasbook.chapter3 import (
    conv2d,
    conv_parameters,
    convolve,
    correlate,
    dense_parameters,
    flatten_wrongly,
)
from kerasbook.chapter6 import Attention, Stack, causal_mask
from kerasbook.pages.articles import (
    article_gru_step,
    article_to_keras,
    call_with_zero_states,
    make_article_lstm,
    make_article_model,
)
from kerasbook.testing import probes

import keras
import numpy as np
import tensorflow as tf
from keras import layers


def outcome(function) -> str:
    """Returns what the function returns, or the error that it raises, as one line."""
    try:
        return str(function())
    except Exception as error:
        text = re.sub(r"\x1b\[\d+m", "", str(error))  # colours for a terminal
        lines = [line for line in text.splitlines() if line.strip()]
        lines = [line for line in lines if "Exception encountered" not in line] or lines
        return f"{type(error).__name__}: {lines[0].strip()}"


RECORDED = {  # what errata_pytorch.py gave with PyTorch 2.13
    1: "16 rows for 9 pictures",
    6: "RuntimeError: mat1 and mat2 shapes cannot be multiplied (1792x28 and 784x128)",
    7: "AssertionError: embed_dim must be divisible by num_heads",
    8: "8 layers",
    10: "RuntimeError: The shape of the 3D attn_mask is torch.Size([7, 2, 16]), "
    "but should be (4, 5, 5).",
    18: "largest difference 0",
    20: "loss 1.461",
}


def in_pytorch(number: int) -> str:
    """Returns what the article's own code gives, and whether it was run or recorded."""
    if importlib.util.find_spec("torch") is None:
        return f"in PyTorch (recorded): {RECORDED[number]}"
    from kerasbook.pages import errata_pytorch

    return f"in PyTorch (run): {outcome(getattr(errata_pytorch, f'wrong_{number}'))}"


def show(number: int) -> None:
    """Prints what the wrong and the right form of a mistake give."""
    for kind in ("wrong", "right"):
        function = globals().get(f"{kind}_{number}")
        if function is not None:
            print(f"{kind}: {outcome(function)}")
    if number in RECORDED:
        print(in_pytorch(number))


# %% [markdown]
# ## 1. A flatten that mixes up the pictures (A0, CNN)
#
# The dense layer expects 64 · 6 · 6 values per picture, which fits pictures of 24 to 27 pixels only
# (pooling leaves out an odd row), and the flatten lets the number of rows follow. With 32 × 32
# pixels, nine pictures become sixteen rows of mixed-up features, without a word; with 28 × 28 it
# fails, unless the number of pictures is a multiple of 36. Chapter 3 shows the mixtures. Never let
# a reshape choose the number of examples.


# %%
def wrong_1():
    """Nine pictures of 32 × 32 after two poolings, flattened as in the article."""
    return f"{len(flatten_wrongly(tf.zeros((9, 8, 8, 64))))} rows for 9 pictures"


def right_1():
    """The same with a layer that keeps the first axis."""
    return f"{len(layers.Flatten()(tf.zeros((9, 8, 8, 64))))} rows for 9 pictures"


if __name__ == "__main__":
    show(1)

# %% [markdown]
# ## 2. "The formula of the CNN is y = f(Wx + b)" (A0, A1, A2, A4)
#
# That is the formula of a dense layer. What makes a convolution is that a window slides and that
# the weights are shared. Count them, for 32 maps from a picture of 28 × 28:


# %%
def wrong_2():
    """The weights of the formula as printed."""
    return f"{dense_parameters(28 * 28, 26 * 26 * 32):,} weights"


def right_2():
    """The weights of a convolution with the same output."""
    return f"{conv_parameters(3, 1, 32):,} weights"


if __name__ == "__main__":
    show(2)

# %% [markdown]
# ## 3. Convolution or correlation (A3)
#
# The formula is that of a true convolution, with $x_{i-u}$; the layer beside it computes the
# cross-correlation, with $x_{i+u}$. The results differ by a flip of the kernel.


# %%
def _picture_and_kernel():
    random = np.random.default_rng(0)
    return random.normal(size=(1, 5, 5, 1)), random.normal(size=(3, 3, 1, 1))


def wrong_3():
    """The formula's result against the layer's."""
    x, kernel = _picture_and_kernel()
    layer = conv2d(x, kernel, 0.0).numpy()
    return f"largest difference {np.abs(convolve(x, kernel, [0]) - layer).max():.2g}"


def right_3():
    """The same after flipping the kernel."""
    x, kernel = _picture_and_kernel()
    layer = correlate(x, kernel, [0])
    return f"largest difference {np.abs(convolve(x, kernel[::-1, ::-1], [0]) - layer).max():.2g}"


if __name__ == "__main__":
    show(3)

# %% [markdown]
# ## 4. A gradient that fails its check (A1)
#
# The gradient of $\frac1{2m}\sum(h-y)^2$ is printed with x twice, once in a δ that belongs to
# another loss. Finite differences tell, in one minute.


# %%
def _slopes_of_half_the_squares():
    random = np.random.default_rng(0)
    x, y, w = random.normal(size=(8, 3)), random.normal(size=(8, 1)), random.normal(size=(3, 1))
    loss = lambda w: np.sum((linear(x, w, 0) - y) ** 2) / (2 * len(x))  # noqa: E731
    return x, y, w, numerical_gradient(loss, w)


def wrong_4():
    """x twice: the printed formula against finite differences."""
    x, y, w, slopes = _slopes_of_half_the_squares()
    delta = (linear(x, w, 0) - y) * x  # (m, 3): x is in it already
    printed = np.mean(delta * x, axis=0)[:, np.newaxis]
    return f"largest difference {np.abs(printed - slopes).max():.2g}"


def right_4():
    """1/m Σ (h − y) ∂h/∂θ: half of chapter 1's gradient, whose loss has no ½."""
    x, y, w, slopes = _slopes_of_half_the_squares()
    return f"largest difference {np.abs(gradient(x, y, w, 0)[0] / 2 - slopes).max():.0e}"


if __name__ == "__main__":
    show(4)

# %% [markdown]
# ## 5. The output squashed twice (A1, RNN)
#
# $o_t = \sigma(V h_t + c)$, then a softmax that uses the same bias again and skips $o_t$. A softmax
# of numbers between 0 and 1 cannot be sure of anything. One output layer, one activation.


# %%
def wrong_5():
    """The largest probability that ten classes can have after a sigmoid and a softmax."""
    scores = tf.sigmoid([[1000.0] + [-1000.0] * 9])
    return f"at most {float(tf.nn.softmax(scores)[0, 0]):.3f}"


def right_5():
    """The same without the sigmoid."""
    return f"at most {float(tf.nn.softmax([[1000.0] + [-1000.0] * 9])[0, 0]):.3f}"


if __name__ == "__main__":
    show(5)

# %% [markdown]
# ## 6. Pictures that were never flattened (A1, deep network)
#
# `F` is used and never imported: a NameError. After that the pictures, 28 × 28, go into a layer for
# 784 numbers.


# %%
def _deep(*first):
    return keras.Sequential([*first, layers.Dense(128, "relu"), layers.Dense(10)])


def wrong_6():
    """Pictures into a dense layer for rows of 784."""
    model = _deep(keras.Input((784,)))
    return model(tf.zeros((2, 28, 28))).shape


def right_6():
    """The same behind a flatten."""
    return _deep(keras.Input((28, 28)), layers.Flatten())(tf.zeros((2, 28, 28))).shape


if __name__ == "__main__":
    show(6)

# %% [markdown]
# ## 7. The vocabulary's size as the width (A1, Transformer)
#
# 100 words, so the model gets the width 100, with eight heads. 100 is not divisible by 8.


# %%
def wrong_7():
    """Eight heads for a width of 100."""
    return Attention(100, 8)


def right_7():
    """An embedding of 100 words in a width of 64."""
    stack = Stack(vocabulary=100, width=64, heads=8, blocks=1)
    return stack(tf.zeros((1, 3), tf.int32)).shape[-1]


if __name__ == "__main__":
    show(7)

# %% [markdown]
# ## 8. The number of heads as the number of layers (A1, Transformer)
#
# Both are whole numbers in a row of arguments: nobody complains, and the model has 8 layers in
# place of 6. Give such arguments by name.


# %%
def _blocks(*numbers, **named):
    def transformer(width, heads, blocks=6):
        return f"{blocks} blocks, {heads} heads"

    return transformer(*numbers, **named)


def wrong_8():
    """Numbers in a row: which is which?"""
    return _blocks(64, 8, 8)


def right_8():
    """By name."""
    return _blocks(width=64, heads=8, blocks=6)


if __name__ == "__main__":
    show(8)

# %% [markdown]
# ## 9. No embedding, no positions, no logits (A1, Transformer)
#
# Without positions the order of the words is invisible: shuffle the input, and the output is
# shuffled with it. The probe of chapter 6 finds it.


# %%
def _sees_no_order(positions):
    keras.utils.set_random_seed(0)
    stack = Stack(vocabulary=20, width=16, heads=2, blocks=1, positions=positions)
    tokens = np.random.default_rng(0).integers(1, 20, (2, 6))
    blind = bool(probes.permutation(stack, tokens))
    return "the order is invisible" if blind else "the order is seen"


def wrong_9():
    """A stack of blocks without positions."""
    return _sees_no_order(positions="none")


def right_9():
    """The same with positions."""
    return _sees_no_order(positions="sinusoidal")


if __name__ == "__main__":
    show(9)

# %% [markdown]
# ## 10. No causal mask (A1, Transformer)
#
# The decoder gets (target, mask, memory): memory and mask have changed places. PyTorch notices, for
# a memory has not the shape of a mask. And no causal mask is ever built, so the decoder may read
# the words that it is to say.


# %%
def _reads_the_future(causal):
    keras.utils.set_random_seed(0)
    stack = Stack(vocabulary=20, width=16, heads=2, blocks=1, causal=causal)
    tokens = np.random.default_rng(0).integers(1, 20, (2, 6))
    holds = probes.causality(stack, tokens)
    return "does not read the future" if holds else "reads the future"


def wrong_10():
    """A decoder without a mask."""
    return _reads_the_future(causal=False)


def right_10():
    """The same with one."""
    return _reads_the_future(causal=True)


if __name__ == "__main__":
    show(10)
    print(tf.cast(causal_mask(4), tf.int32).numpy())

# %% [markdown]
# ## 11. Labels that go in unshifted (A1, Transformer)
#
# With the targets as input, each place holds its own answer, and no causal mask hides it. A decoder
# that copies has a perfect score, and nothing to say when there is nothing to copy. Shift right: a
# start symbol, then the targets but the last. The second page of chapter 6 trains both.


# %%
def _copying_scores(before):
    after = np.array([[5, 3, 8, 2]])
    return f"a decoder that copies its input is right at {np.mean(before(after) == after):.0%}"


def wrong_11():
    """The targets themselves."""
    return _copying_scores(lambda after: after)


def right_11():
    """Shifted, with 0 as the start symbol."""
    return _copying_scores(lambda after: np.pad(after, [(0, 0), (1, 0)])[:, :-1])


if __name__ == "__main__":
    show(11)

# %% [markdown]
# ## 12. `lr`, and a loss with its arguments swapped (A2, logistic regression)
#
# `lr=` is no argument of a Keras 3 optimizer. And a Keras loss takes the truth first; the
# cross-entropy of a prediction and a truth is another number.


# %%
def wrong_12():
    """The old name."""
    return keras.optimizers.SGD(lr=0.01)


def right_12():
    """The name."""
    return f"learning rate {float(keras.optimizers.SGD(learning_rate=0.01).learning_rate):.2f}"


def swapped_arguments() -> tuple[float, float]:
    """Returns the loss as (y_true, y_pred), and as (y_pred, y_true)."""
    truth, predicted = np.array([[1.0, 0.0]]), np.array([[0.8, 0.3]])
    loss_fn = keras.losses.BinaryCrossentropy()
    return float(loss_fn(truth, predicted)), float(loss_fn(predicted, truth))


if __name__ == "__main__":
    show(12)
    print("the loss, and with its arguments swapped:", swapped_arguments())

# %% [markdown]
# ## 13. Deep learning with one layer (A2)
#
# Linear and logistic regression are introduced as deep learning. Both are one layer. What makes a
# network deep is a bend between layers: without it, two layers are one.


# %%
def _two_layers(activation):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4, activation), layers.Dense(1)])
    x = np.random.default_rng(0).normal(size=(20, 3))
    with_ones = np.hstack([x, np.ones((20, 1))])
    y = np.asarray(model(x), "float64")
    solution, *_ = np.linalg.lstsq(with_ones, y, rcond=None)
    return f"distance to the nearest single layer {np.abs(with_ones @ solution - y).max():.1g}"


def wrong_13():
    """Two layers without a bend."""
    return _two_layers(None)


def right_13():
    """The same with one."""
    return _two_layers("relu")


if __name__ == "__main__":
    show(13)

# %% [markdown]
# ## 14. One gradient per epoch, called SGD (A2)
#
# The loop takes the gradient of all the data once per epoch. That is batch gradient descent.
# Chapter 1 draws the paths of the three kinds; here is how many steps an epoch has, for 236 cars.


# %%
def _steps(batch_size, examples=236):
    return f"{math.ceil(examples / batch_size)} steps per epoch"


def wrong_14():
    """What the article calls SGD."""
    return _steps(236)


def right_14():
    """Mini-batches of 16."""
    return _steps(16)


if __name__ == "__main__":
    show(14)

# %% [markdown]
# ## 15. An answer per word, one label per sentence (A3, RNN)
#
# The GRU returns the whole sequence, then comes a dense softmax: an answer for each of the words,
# against one label.


# %%
def _loss_of_article_model(return_sequences):
    keras.utils.set_random_seed(0)
    probabilities = make_article_model(return_sequences)(np.ones((4, 7), "int32"))
    return keras.losses.SparseCategoricalCrossentropy()(np.zeros(4, "int32"), probabilities)


def wrong_15():
    """The article's network."""
    return _loss_of_article_model(return_sequences=True)


def right_15():
    """The same with the last state alone."""
    return f"loss {float(_loss_of_article_model(return_sequences=False)):.1f}"


if __name__ == "__main__":
    show(15)

# %% [markdown]
# ## 16. Whose GRU? (A3)
#
# The article has $h = (1-z)\,h + z\,\tilde h$, Keras $z\,h + (1-z)\,\tilde h$; and Keras' default
# resets after the product, the article before it. So a reader's own GRU never matches the layer,
# and both are right. Chapter 4 has all the conventions, and the conversion.


# %%
def _article_and_keras(convert):
    random = np.random.default_rng(0)
    weights = [random.normal(size=shape) for shape in [(7, 4)] * 3 + [(4,)] * 3]
    x, h = random.normal(size=(2, 3)), random.normal(size=(2, 4))
    layer = layers.GRU(4, reset_after=False, dtype="float64")
    layer.build((2, 1, 3))
    rows = np.concatenate(weights[:3], axis=1)
    layer.set_weights(convert(weights, [rows[4:], rows[:4], np.concatenate(weights[3:])]))
    theirs = layer(x[:, np.newaxis], initial_state=tf.constant(h))
    return f"largest difference {np.abs(article_gru_step(x, h, weights) - theirs).max():.1g}"


def wrong_16():
    """The article's weights put into the layer as they are."""
    return _article_and_keras(lambda weights, glued: glued)


def right_16():
    """Converted."""
    return _article_and_keras(lambda weights, glued: article_to_keras(weights))


if __name__ == "__main__":
    show(16)

# %% [markdown]
# ## 17. No mask (A3)
#
# Sentences differ in length, and the shorter ones are filled up with zeros. Without a mask the last
# step is padding: the answer depends on how many zeros there are.


# %%
def _depends_on_padding(mask_zero):
    keras.utils.set_random_seed(0)
    embedding = layers.Embedding(20, 8, mask_zero=mask_zero)
    model = keras.Sequential([keras.Input((None,)), embedding, layers.GRU(4)])
    short = np.array([[3, 7, 5]])
    change = np.abs(model(short) - model(np.pad(short, [(0, 0), (0, 9)]))).max()
    return f"nine zeros more change the state by {change:.1g}"


def wrong_17():
    """Without a mask."""
    return _depends_on_padding(mask_zero=False)


def right_17():
    """With one."""
    return _depends_on_padding(mask_zero=True)


if __name__ == "__main__":
    show(17)

# %% [markdown]
# ## 18. Zero states made by hand (A0, LSTM)
#
# h0 and c0 are made of zeros. Harmless: it is the default.


# %%
def right_18():
    """The article's LSTM with zero states by hand, and without."""
    keras.utils.set_random_seed(0)
    model = make_article_lstm()
    x = np.random.default_rng(0).normal(size=(2, 5, 100)).astype("float32")
    difference = np.abs(model(x) - call_with_zero_states(model, x)).max()
    return f"largest difference {difference:.1g}"


if __name__ == "__main__":
    show(18)

# %% [markdown]
# ## 19. "The core of an RNN is GRU and LSTM" (A3)
#
# They are two kinds of recurrent network; the simple one of chapter 4 has neither. The same article
# names reinforcement learning as a trait of every large model. Most are trained without it, by
# predicting the next word; it is one way to tune some of them afterwards.
#
# ## 20. Softmax applied twice (A4, deep network)
#
# The network ends in a softmax, and the loss applies its own. For ten classes the loss cannot fall
# below 1.461, however sure and right the network is.


# %%
def wrong_20():
    """The loss of a network that is sure and right, after two softmaxes."""
    logits = tf.constant([[1000.0] + [0.0] * 9])
    loss = float(double_softmax_loss(np.array([0]), logits))
    return f"loss {loss:.3f}, floor {double_softmax_floor(10):.3f}"


def right_20():
    """The same from logits."""
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return f"loss {float(loss_fn(np.array([0]), tf.constant([[1000.0] + [0.0] * 9]))):.3f}"


if __name__ == "__main__":
    show(20)

# %% [markdown]
# ## 21. `losses` is drawn and never collected (A4)
#
# A NameError; besides, a transform is built and not used, and TensorBoard announced and not used.
# The losses have to be kept by whoever computes them: `fit` returns them in a History.


# %%
def wrong_21():
    """A plot of what nobody collected."""
    return losses  # noqa: F821  # pyright: ignore


def right_21():
    """What `fit` returns."""
    from kerasbook.training import fit

    model = keras.Sequential([keras.Input((1,)), layers.Dense(1)])
    loss_fn, optimizer = keras.losses.MeanSquaredError(), keras.optimizers.SGD(0.1)
    data = (np.ones((4, 1)), np.ones((4, 1)))
    options = {"loss_fn": loss_fn, "optimizer": optimizer, "epochs": 3, "progress": "none"}
    return f"{len(fit(model, data, **options).history['loss'])} losses"


if __name__ == "__main__":
    show(21)

# %% [markdown]
# ## 22. Training without data (A4)
#
# The trainer is called with no data set. Keras stops, though not with a word that helps.


# %%
def wrong_22():
    """Training on nothing."""
    model = keras.Sequential([keras.Input((1,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    return model.fit(verbose=0)


def right_22():
    """Training on something."""
    model = keras.Sequential([keras.Input((1,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    history = model.fit(np.ones((4, 1)), np.ones((4, 1)), epochs=2, verbose=0)
    return f"{len(history.history['loss'])} epochs"


if __name__ == "__main__":
    show(22)

# %% [markdown]
# ## 23. A loss without labels (A4, BERT)
#
# No labels are given to the classifier, then its loss is read: it is None. A Keras loss cannot be
# computed without the truth at all.


# %%
def wrong_23():
    """A loss of a prediction alone."""
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)(y_pred=tf.zeros((1, 2)))


def right_23():
    """With the label: ln 2, for two classes and no idea."""
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return f"loss {float(loss_fn(np.array([1]), tf.zeros((1, 2)))):.3f}"


if __name__ == "__main__":
    show(23)

# %% [markdown]
# ## 24. "A penalty that adds complexity" (A4)
#
# The L2 term does the opposite: it penalises large weights. With nothing but the penalty, descent
# makes every weight smaller.


# %%
def right_24():
    """The length of a weight before and after ten steps down the penalty alone."""
    w = np.array([[3.0, -4.0]])
    before = np.linalg.norm(w)
    for _ in range(10):
        w = w - 0.1 * l2_gradients([w], 1.0)[0]
    return f"length {before:.1f} before, {np.linalg.norm(w):.2f} after ten steps"


if __name__ == "__main__":
    show(24)

# %% [markdown]
# ## 25. A large model has "millions" of parameters (A1, A3, A4)
#
# Chapter 2's network has a tenth of a million. BERT-base has 110 million (Devlin et al. 2018),
# GPT-3 175 billion (Brown et al. 2020).


# %%
def right_25():
    """The parameters of 784-128-64-10."""
    sizes = (784, 128, 64, 10)
    count = sum(map(dense_parameters, sizes, sizes[1:]))
    return f"{count:,} parameters; BERT-base has about {110e6 / count:,.0f} times as many"


if __name__ == "__main__":
    show(25)

# %% [markdown]
# ## 26. Numbers of data sets (A2)
#
# IMDB is said to have "25,000 reviews". It has 50,000 with a label, 25,000 to train on and 25,000
# to test with. Penn Treebank is said to have "50,000 news and 20,000 novels". The part that
# language models use is about one million words of the Wall Street Journal, and no novels.
#
# ## 27. One part to choose on and to report (A4)
#
# Choose the best of many models on some data, and its score on the same data is too good. Here
# nothing can be learned at all: 200 "models" guess 100 labels. The best one looks clever, until it
# is asked about data that had no part in the choice.


# %%
def _best_of_200(report_on):
    random = np.random.default_rng(0)
    labels = {part: random.integers(0, 2, 100) for part in ("validation", "test")}
    guesses = {part: random.integers(0, 2, (200, 100)) for part in labels}
    accuracy = {part: (guesses[part] == labels[part]).mean(axis=1) for part in labels}
    best = accuracy["validation"].argmax()
    return f"accuracy {accuracy[report_on][best]:.2f} for guessing"


def wrong_27():
    """Reported on what it was chosen on."""
    return _best_of_200("validation")


def right_27():
    """Reported on a part that was kept aside."""
    return _best_of_200("test")


if __name__ == "__main__":
    show(27)
