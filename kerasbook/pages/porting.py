# %% [markdown]
"""
# Coming from PyTorch

Some of the articles write their models in PyTorch. Whoever has trained one of them need not begin
anew: the weights can be carried over. This page does it for each of them, and lists the
conventions in which the two libraries differ. Most of the differences raise no error. They change
the numbers, and that is all one sees of them.

PyTorch is not needed here. The weights come as NumPy arrays by name:

    state = {name: array.numpy() for name, array in torch_model.state_dict().items()}
"""

# %%
from kerasbook.chapter1 import make_model as make_linear
from kerasbook.chapter2_deep_network import make_model as make_deep
from kerasbook.chapter6_encoder_decoder import make_pronouncer
from kerasbook.pages.articles import make_article_lstm, make_article_model, make_colour_cnn

import keras
import numpy as np
from keras import layers

# %% [markdown]
# ## Names and shapes
#
# A port that guesses is worse than none. So each array is asked for by name and shape. What is
# missing, what has another shape, and what is left over at the end is an error that names it.


# %%
class PortError(ValueError):
    """The arrays are not those of the model; the message says which."""


class State:
    """Arrays by PyTorch's names; each may be taken once, and at the end none may be left."""

    def __init__(self, arrays):
        """Takes the mapping: name → array."""
        self.left = {name: np.asarray(array) for name, array in arrays.items()}

    def take(self, name, *shape):
        """Returns the array of this name and shape."""
        if name not in self.left:
            raise PortError(f"there is no {name!r}; what is left: {', '.join(self.left) or 'none'}")
        array = self.left.pop(name)
        if array.shape != shape:
            raise PortError(f"{name!r} has the shape {array.shape}; this model needs {shape}")
        return array

    def put_into(self, model, weights):
        """Gives the model its weights, if no array is left."""
        if self.left:
            raise PortError(f"the model has no place for {', '.join(self.left)}")
        model.set_weights(weights)


# %% [markdown]
# ## Dense layers
#
# PyTorch's `Linear` keeps its weight as (out, in), Keras' `Dense` as (in, out). So it is turned.


# %%
def dense(state, name, inputs, units):
    """Returns kernel (inputs, units) and bias (units,) of `nn.Linear`."""
    return [state.take(f"{name}.weight", units, inputs).T, state.take(f"{name}.bias", units)]


def port_weights_dense(model, arrays, names=("fc1", "fc2", "fc3")):
    """Carries linear regression, or the deep network, into a Keras model of dense layers.

    names: of the `nn.Linear` layers, from the first to the last.
    """
    state, weights = State(arrays), []
    kernels = [layer.kernel for layer in model.layers if isinstance(layer, layers.Dense)]
    if len(kernels) != len(names):
        raise PortError(f"the model has {len(kernels)} dense layers, and names has {len(names)}")
    for name, kernel in zip(names, kernels, strict=True):
        inputs, units = kernel.shape
        weights += dense(state, name, inputs, units)
    state.put_into(model, weights)


# %% [markdown]
# Random arrays in PyTorch's shapes stand for a trained model. What PyTorch would compute from them
# is one line.


# %%
def random_state(shapes, seed=0):
    """Returns random arrays by name, for a mapping: name → shape."""
    random = np.random.default_rng(seed)
    return {name: random.normal(0, 0.3, shape).astype("float32") for name, shape in shapes.items()}


if __name__ == "__main__":
    arrays = random_state({"linear.weight": (1, 3), "linear.bias": (1,)})
    model, x = make_linear(3), np.random.default_rng(1).normal(size=(5, 3)).astype("float32")
    port_weights_dense(model, arrays, names=("linear",))
    theirs = x @ arrays["linear.weight"].T + arrays["linear.bias"]
    print(f"largest difference {np.abs(model(x) - theirs).max():.0e}")
    try:
        port_weights_dense(make_deep((28, 28, 1), 10), arrays)
    except PortError as error:
        print(error)

# %% [markdown]
# ## Convolutions, and the flatten after them
#
# A picture is (channels, height, width) in PyTorch and (height, width, channels) in Keras. A kernel
# is (out, in, kh, kw) there and (kh, kw, in, out) here. That is two transpositions. The trap is the
# flatten: the row of numbers that goes into the first dense layer holds the same numbers in another
# order, and its length gives no hint. So the rows of that layer's kernel must be sorted anew.


# %%
def convolution(state, name, shape):
    """Returns kernel (kh, kw, in, out), which has this shape, and bias (out,) of `nn.Conv2d`."""
    high, wide, channels, filters = shape
    kernel = state.take(f"{name}.weight", filters, channels, high, wide)
    return [kernel.transpose(2, 3, 1, 0), state.take(f"{name}.bias", filters)]


def dense_after_flatten(state, name, maps, units):
    """Returns kernel and bias of the `nn.Linear` that follows the flatten of maps (h, w, c)."""
    height, width, channels = maps
    kernel, bias = dense(state, name, height * width * channels, units)
    by_place = kernel.reshape(channels, height, width, units).transpose(1, 2, 0, 3)
    return [by_place.reshape(-1, units), bias]


def port_weights_cnn(model, arrays, names=("conv1", "conv2", "fc1", "fc2")):
    """Carries the first article's network into `make_colour_cnn()`.

    Or any network of convolutions, a flatten and dense layers, with names for all of them in order.
    """
    state, weights, names = State(arrays), [], list(names)
    holders = [layer for layer in model.layers if layer.weights]
    if len(holders) != len(names):
        raise PortError(f"the model has {len(holders)} layers with weights, names has {len(names)}")
    flatten = next(layer for layer in model.layers if isinstance(layer, layers.Flatten))
    maps = flatten.input.shape[1:]
    for name, layer in zip(names, holders, strict=True):
        if isinstance(layer, layers.Conv2D):
            weights += convolution(state, name, layer.kernel.shape)
        elif maps is not None:
            weights += dense_after_flatten(state, name, maps, layer.units)
            maps = None
        else:
            weights += dense(state, name, *layer.kernel.shape)
    state.put_into(model, weights)


# %% [markdown]
# What the flatten does, on one map of 2 × 2 places with 3 channels. The numbers count PyTorch's
# order.

# %%
if __name__ == "__main__":
    there = np.arange(12).reshape(3, 2, 2)  # (channels, height, width)
    print("PyTorch's row:", there.ravel())
    print("Keras' row:   ", there.transpose(1, 2, 0).ravel())

# %% [markdown]
# ## GRU
#
# Three things differ. PyTorch stacks its gates as r, z, n, Keras as z, r, candidate. PyTorch's
# matrices are turned, (3 · units, in). And the biases have two names there, and are two rows of one
# array here. What $z$ means, and where the reset stands, is the same in both: PyTorch computes
# $n = \tanh(W x + b + r \odot (U h + d))$ and $h' = (1 - z) \odot n + z \odot h$, which is Keras'
# `reset_after=True`. Chapter 4 has the other conventions.


# %%
def gru(state, name, inputs, units, layer=0):
    """Returns kernel, recurrent kernel and bias (2, 3 · units) of one layer of `nn.GRU`."""

    def thirds(part, *shape):
        r, z, n = np.split(state.take(f"{name}.{part}_l{layer}", *shape), 3)
        return np.concatenate([z, r, n])

    kernel = thirds("weight_ih", 3 * units, inputs).T
    recurrent_kernel = thirds("weight_hh", 3 * units, units).T
    bias = np.stack([thirds("bias_ih", 3 * units), thirds("bias_hh", 3 * units)])
    return [kernel, recurrent_kernel, bias]


def port_weights_gru(model, arrays, names=("embedding", "gru", "fc1", "fc2")):
    """Carries an embedding, a GRU and two dense layers into `articles.make_article_model(False)`.

    names: of the four modules.
    """
    state = State(arrays)
    embedding, reader, *last = [layer for layer in model.layers if layer.weights]
    table = state.take(f"{names[0]}.weight", *embedding.embeddings.shape)
    weights = [table, *gru(state, names[1], table.shape[1], reader.units)]
    for name, layer in zip(names[2:], last, strict=True):
        weights += dense(state, name, *layer.kernel.shape)
    state.put_into(model, weights)


# %% [markdown]
# PyTorch's formula, written with PyTorch's arrays, and Keras' layer after the port:


# %%
def torch_gru_step(x, h, arrays):
    """Returns the next state (n, units) as `nn.GRU` computes it, from arrays by its names."""
    from_x = x @ arrays["gru.weight_ih_l0"].T + arrays["gru.bias_ih_l0"]
    from_h = h @ arrays["gru.weight_hh_l0"].T + arrays["gru.bias_hh_l0"]
    (x_r, x_z, x_n), (h_r, h_z, h_n) = (np.split(part, 3, axis=1) for part in (from_x, from_h))
    r, z = (1 / (1 + np.exp(-score)) for score in (x_r + h_r, x_z + h_z))
    return (1 - z) * np.tanh(x_n + r * h_n) + z * h


def compare_gru(units=4, inputs=3, time=5) -> float:
    """Returns the largest difference of the last states: PyTorch's formula, Keras' layer."""
    shapes = {"gru.weight_ih_l0": (3 * units, inputs), "gru.weight_hh_l0": (3 * units, units)}
    shapes |= {"gru.bias_ih_l0": (3 * units,), "gru.bias_hh_l0": (3 * units,)}
    arrays = random_state(shapes)
    x = np.random.default_rng(1).normal(size=(2, time, inputs)).astype("float32")
    layer = layers.GRU(units)
    layer.build(x.shape)
    layer.set_weights(gru(State(arrays), "gru", inputs, units))
    h = np.zeros((2, units), "float32")
    for t in range(time):
        h = torch_gru_step(x[:, t], h, arrays)
    return float(np.abs(layer(x) - h).max())


if __name__ == "__main__":
    print(f"largest difference {compare_gru():.0e}")

# %% [markdown]
# ## LSTM
#
# The gates have the same order: PyTorch's i, f, g, o is Keras' i, f, c, o under another name. But
# PyTorch has two biases, which are only ever added up; Keras has their sum. A gradient must not be
# added up so: each of PyTorch's two biases has the whole gradient. And an optimizer that moves both
# of them moves the sum twice as far as Keras moves its one.


# %%
def lstm(state, name, inputs, units, layer=0):
    """Returns kernel, recurrent kernel and bias of one layer of `nn.LSTM`."""
    kernel = state.take(f"{name}.weight_ih_l{layer}", 4 * units, inputs).T
    recurrent_kernel = state.take(f"{name}.weight_hh_l{layer}", 4 * units, units).T
    biases = [state.take(f"{name}.bias_{part}_l{layer}", 4 * units) for part in ("ih", "hh")]
    return [kernel, recurrent_kernel, biases[0] + biases[1]]


def port_weights_lstm(model, arrays, names=("lstm", "fc")):
    """Carries the first article's LSTM of several layers into `articles.make_article_lstm()`.

    names: of the `nn.LSTM` and of the `nn.Linear` after it.
    """
    state, weights = State(arrays), []
    *readers, last = model.layers
    for number, layer in enumerate(readers):
        weights += lstm(state, names[0], layer.cell.kernel.shape[0], layer.units, number)
    weights += dense(state, names[1], *last.kernel.shape)
    state.put_into(model, weights)


# %% [markdown]
# ## Transformer
#
# `nn.MultiheadAttention` packs the matrices of query, key and value into one, `in_proj_weight`,
# (3 · width, width). Chapter 6 has a dense layer for each of the three; the heads lie side by side
# in all of them. The article's blocks normalise after the sum, so `post_norm=True`, and divide by
# $\sqrt{\sigma^2 + 10^{-5}}$, where chapter 6 has $10^{-6}$ and Keras' default is $10^{-3}$.
#
# A mask is no weight, but whoever ports a model ports its masks too: in PyTorch `True` hides, in
# Keras and in chapter 6 `True` shows.


# %%
def attention(state, name, width):
    """Returns the eight arrays of `chapter6.Attention`, from an `nn.MultiheadAttention`."""
    kernels = np.split(state.take(f"{name}.in_proj_weight", 3 * width, width).T, 3, axis=1)
    biases = np.split(state.take(f"{name}.in_proj_bias", 3 * width), 3)
    arrays = [array for pair in zip(kernels, biases, strict=True) for array in pair]
    return [*arrays, *dense(state, f"{name}.out_proj", width, width)]


def norm(state, name, width):
    """Returns scale and shift, both (width,), of an `nn.LayerNorm`."""
    return [state.take(f"{name}.weight", width), state.take(f"{name}.bias", width)]


def block(state, name, width, cross):
    """Returns the arrays of chapter 6's block, from an encoder or decoder layer of PyTorch."""
    arrays = norm(state, f"{name}.norm1", width) + attention(state, f"{name}.self_attn", width)
    arrays += norm(state, f"{name}.norm{2 + cross}", width)
    arrays += dense(state, f"{name}.linear1", width, 4 * width)
    arrays += dense(state, f"{name}.linear2", 4 * width, width)
    if cross:
        arrays += norm(state, f"{name}.norm2", width)
        arrays += attention(state, f"{name}.multihead_attn", width)
    return arrays


def port_weights_transformer(
    model, arrays, names=("source", "target", "encoder", "decoder", "output"), epsilon=1e-5
):
    """Carries the article's Transformer into `make_pronouncer(…, post_norm=True)`.

    names: of two `nn.Embedding`, an `nn.TransformerEncoder` and an `nn.TransformerDecoder`, both
    without a last norm and with a feed-forward width of 4 · width, and an `nn.Linear`.
    epsilon: of PyTorch's layer normalisations; those of the model are set to it.
    """
    state, weights = State(arrays), []
    for symbols, name, stack in zip(names[:2], names[2:4], ("encoder", "decoder"), strict=True):
        stack = model.get_layer(stack)
        if stack.norm is not None:
            raise PortError("the article normalises after the sum: make the model, post_norm=True")
        vocabulary, width = stack.embedding.table.embeddings.shape
        weights.append(state.take(f"{symbols}.weight", vocabulary, width))
        for number, ours in enumerate(stack.blocks):
            cross = hasattr(ours, "cross_attention")
            weights += block(state, f"{name}.layers.{number}", width, cross)
            for layer in ours._flatten_layers():
                if isinstance(layer, layers.LayerNormalization):
                    layer.epsilon = epsilon
    weights += dense(state, names[4], *model.get_layer("logits").kernel.shape)
    state.put_into(model, weights)


# %% [markdown]
# The embedding is multiplied by $\sqrt{\text{width}}$ and the waves of chapter 6 are added to it,
# sines first, then cosines. The PyTorch model must do the same. The article's does neither.
#
# ## What differs, in one table
#
# | | PyTorch | Keras |
# |---|---|---|
# | weight of a dense layer | (out, in) | (in, out) |
# | pictures | (n, channels, height, width) | (n, height, width, channels) |
# | kernel of a convolution | (out, in, kh, kw) | (kh, kw, in, out) |
# | padding with a stride of 2 | as many zeros on every side | the odd zero at the end |
# | gates of a GRU | r, z, n | z, r, candidate |
# | biases of an LSTM | two, added | one |
# | forget gate's bias at first | random, near 0 | 1 |
# | attention mask | `True` hides | `True` shows |
# | weights of attention | one `in_proj` | three, with an axis for the heads |
# | batch normalisation, momentum | 0.1, the share of the new | 0.99, the share of the old |
# | its running variance | divided by N − 1 | divided by N |
# | its ε | 1e-5 | 1e-3 |
# | layer normalisation, ε | 1e-5 | 1e-3 |
# | Adam, ε | 1e-8, after the correction | 1e-7, before it |
# | RMSprop | memory 0.99, ε 1e-8 outside the root | memory 0.9, ε 1e-7 under the root |
# | AdamW, weight decay | 0.01 | 0.004 |
# | embedding, padding | `padding_idx`: row of zeros that learns nothing | `mask_zero`: a mask |
# | dense layer at first | uniform, ± 1/√in, bias too | Glorot, bias 0 |
# | recurrent layer at first | uniform, ± 1/√units, all | Glorot, recurrent orthogonal, bias 0 |
# | embedding at first | normal, deviation 1 | uniform, ± 0.05 |
# | loss for classes | `CrossEntropyLoss`, always logits | `from_logits=True` or False |
# | learning rate of SGD | 0.001 | 0.01 |
#
# Three of them in numbers. First the momentum of batch normalisation. PyTorch's 0.1 is Keras' 0.9:
# the one names the share of the new, the other that of the old.


# %%
def moving_mean(momentum, steps=5) -> float:
    """Returns the moving mean of Keras' layer after so many batches with the mean 1."""
    layer = layers.BatchNormalization(momentum=momentum)
    for _ in range(steps):
        layer(np.ones((4, 1), "float32"), training=True)
    return float(layer.get_weights()[2][0])


if __name__ == "__main__":
    theirs = 0.0
    for _ in range(5):
        theirs = (1 - 0.1) * theirs + 0.1 * 1  # PyTorch's default
    print(f"PyTorch, 0.1: {theirs:.4f}")
    for momentum in (0.9, 0.99, 0.1):
        print(f"Keras, {momentum}: {moving_mean(momentum):.4f}")

# %% [markdown]
# Second, the ε of layer normalisation, for a token whose numbers are small: Keras' default is not
# small beside their variance.


# %%
def normalised_size(epsilon, size=0.01) -> float:
    """Returns the deviation after layer normalisation of numbers with the deviation `size`."""
    x = np.array([[-size, size] * 4], "float32")
    return float(np.std(layers.LayerNormalization(epsilon=epsilon)(x)))


if __name__ == "__main__":
    for name, epsilon in (("PyTorch's", 1e-5), ("Keras'", 1e-3), ("chapter 6's", 1e-6)):
        print(f"{name:11} ε {epsilon:g}: deviation {normalised_size(epsilon):.3f}")

# %% [markdown]
# Third, the ε of Adam, for gradients as small as it is. The first step of Adam should be as long as
# the learning rate, whatever the gradient. Where the gradient is near ε, it is not.


# %%
def first_adam_step(gradient, epsilon, corrected_first, beta_2=0.999) -> float:
    """Returns the length of the first step of Adam, as a share of the learning rate.

    corrected_first: PyTorch's order; False is Keras'.
    """
    if corrected_first:
        return gradient / (gradient + epsilon)
    root = (1 - beta_2) ** 0.5
    return root * gradient / (root * gradient + epsilon)


if __name__ == "__main__":
    for gradient in (1e-3, 1e-5, 1e-7):
        there = first_adam_step(gradient, 1e-8, corrected_first=True)
        here = first_adam_step(gradient, 1e-7, corrected_first=False)
        print(f"gradient {gradient:.0e}: PyTorch {there:.3f}, Keras {here:.3f}")

# %% [markdown]
# With gradients of the usual size all three hardly show. That is why a port can look right, and
# give the same accuracy, and still not be the same. Compare the outputs, and one gradient.
#
# ## Which function for which model
#
# | article's model | function | into |
# |---|---|---|
# | linear regression | `port_weights_dense(…, names=("linear",))` | chapter 1's `make_model` |
# | deep network 784-128-64-10 | `port_weights_dense` | chapter 2's `make_model` |
# | CNN for colour pictures | `port_weights_cnn` | `make_colour_cnn` |
# | GRU classifier | `port_weights_gru` | the article's `make_article_model(False)` |
# | two LSTM layers | `port_weights_lstm` | the article's `make_article_lstm` |
# | Transformer | `port_weights_transformer` | chapter 6's `make_pronouncer`, `pre_norm=False` |


# %%
def article_models() -> dict[str, keras.Model]:
    """Returns the models that the functions carry weights into, by the articles' names."""
    transformer = {"width": 64, "heads": 8, "blocks": 6, "post_norm": True}
    return {
        "linear regression": make_linear(1),
        "deep network": make_deep((28, 28, 1), 10),
        "CNN": make_colour_cnn(),
        "GRU": make_article_model(return_sequences=False),
        "LSTM": make_article_lstm(),
        "Transformer": make_pronouncer(**transformer),
    }


if __name__ == "__main__":
    for name, model in article_models().items():
        print(f"{name:18} {model.count_params():9,} weights")
