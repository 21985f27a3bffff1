"""Chapter 10: what the ledger claims of it, and the mistakes that must be seen."""

from kerasbook import chapter10
from kerasbook.ledger.core import claim, mutant, precision, slopes

import keras
import numpy as np
import tensorflow as tf
from keras import layers


def _linear(draw, size):
    """A linear model of small pictures with three scores, and its kernel (pixels, 3)."""
    inside = [layers.Flatten(), layers.Dense(3)]
    return _drawn(draw, [keras.Input((size, size, 1)), *inside])


def _drawn(draw, inside):
    """A model of these layers with random weights, in the dtype of the draw."""
    model = keras.Sequential(inside)
    model.set_weights([draw(*weight.shape) for weight in model.get_weights()])
    return model


def _pictures(draw, size, n=3):
    """Random pictures (n, size, size, 1), another one of them, and the classes (n,) to ask for."""
    return draw(n, size, size, 1), draw(n, size, size, 1), draw.random.integers(0, 3, n)


def _shares(model, difference, kinds):
    """Weight times difference of a linear model: (n, size, size)."""
    kernel = model.layers[-1].get_weights()[0]
    flat = difference.reshape(len(difference), -1) * kernel.T[kinds]
    return flat.reshape(difference.shape[:3])


@claim(10, "saliency = the size of each pixel's slope")
def _(draw):
    size = draw.size(3, 5)
    with precision(draw.dtype):
        model = _drawn(
            draw,
            [
                keras.Input((size, size, 1)),
                layers.Flatten(),
                layers.Dense(4, "tanh"),
                layers.Dense(3),
            ],
        )
        x, _, kinds = _pictures(draw, size)
        gradients = chapter10.gradient_of(model, x, kinds)
        pairs = {"values": (chapter10.saliency(model, x, kinds), np.abs(gradients[..., 0]))}
        if draw.dtype == "float64":

            def score(x):
                return np.sum(chapter10.score_of(model, x, kinds))

            pairs |= slopes(score, {"the pixels": x}, [gradients])
    return pairs


@claim(10, "integrated gradients of a linear model = weight times difference", sources="TN")
def _(draw):
    size = draw.size(3, 6)
    with precision(draw.dtype):
        model = _linear(draw, size)
        x, baseline, kinds = _pictures(draw, size)
        pairs = {}
        for steps in (1, 7):
            found = chapter10.integrated_gradients(model, x, kinds, baseline, steps)
            pairs[f"values, {steps} pieces"] = found, _shares(model, x - baseline, kinds)
    return pairs


@claim(10, "completeness: contributions = the change of a score with bends that are squares")
def _(draw):
    size = draw.size(3, 5)
    with precision(draw.dtype):
        inside = [layers.Flatten(), layers.Dense(4, keras.ops.square), layers.Dense(3)]
        model = _drawn(draw, [keras.Input((size, size, 1)), *inside])
        x, baseline, kinds = _pictures(draw, size)
        found = chapter10.integrated_gradients(model, x, kinds, baseline, 3)
        change = chapter10.score_of(model, x, kinds) - chapter10.score_of(model, baseline, kinds)
        gap = chapter10.completeness_gap(model, x, kinds, baseline, 2 * found)
    return {"values": (found.sum(axis=(1, 2)), change), "values, a bill twice": (gap, change)}


@claim(10, "Grad-CAM's weights = slopes of the score as a whole map moves, by its places")
def _(draw):
    size, places = draw.size(5, 7), draw.size(2, 3)
    with precision(draw.dtype):
        conv = layers.Conv2D(4, size - places + 1, activation="tanh", name="conv_3")
        inside = [conv, layers.Flatten(), layers.Dense(5, "tanh"), layers.Dense(3)]
        model = _drawn(draw, [keras.Input((size, size, 1)), *inside])
        x, _, kinds = _pictures(draw, size)
        maps, weights = chapter10.channel_weights(model, x, kinds)
        pairs = {"values of the maps": (maps, conv(x))}
        heat = np.maximum(np.sum(weights[:, None, None] * maps, axis=-1), 0)
        pairs["values of the heat"] = chapter10.grad_cam(model, x, kinds), heat
        if draw.dtype == "float64":
            above = keras.Sequential([keras.Input(maps.shape[1:]), *model.layers[1:]])

            def score(shifts):
                return np.sum(chapter10.score_of(above, maps + shifts[:, None, None], kinds))

            none = np.zeros(weights.shape)
            pairs |= slopes(score, {"whole maps": none}, [weights * places**2])
    return pairs


@claim(10, "Grad-CAM behind a mean over the places = the class activation map")
def _(draw):
    size = draw.size(4, 7)
    with precision(draw.dtype):
        dense = layers.Dense(3)
        conv = layers.Conv2D(4, 3, activation="relu", name="conv_3")
        inside = [conv, layers.GlobalAveragePooling2D(), dense]
        model = _drawn(draw, [keras.Input((size, size, 1)), *inside])
        x, _, kinds = _pictures(draw, size)
        maps, weights = chapter10.channel_weights(model, x, kinds)
        kernel, bias = dense.get_weights()
        places = maps.shape[1] * maps.shape[2]
        score = np.einsum("nijc,nc->n", maps, weights) + bias[kinds]
        expected = chapter10.score_of(model, x, kinds)
    return {
        "values of the weights": (weights * places, kernel.T[kinds]),
        "values of the score": (score, expected),
    }


@claim(10, "occlusion of a linear model = what the window covers, weighted", sources="TN")
def _(draw):
    size = draw.size(4, 6)
    with precision(draw.dtype):
        model = _linear(draw, size)
        x, _, kinds = _pictures(draw, size)
        shares = _shares(model, x - x.min(), kinds)
        single = chapter10.occlusion(model, x, kinds, size=1, stride=1)
        pair = chapter10.occlusion(model, x, kinds, size=size - 1, stride=1)
    sums = np.lib.stride_tricks.sliding_window_view(shares, (size - 1, size - 1), axis=(1, 2))
    corners = sums.sum(axis=(-2, -1))[:, [0, 0, -1, -1], [0, -1, 0, -1]]  # each in one window
    return {
        "values, one pixel": (single, shares),
        "values, windows at the corners": (pair[:, [0, 0, -1, -1], [0, -1, 0, -1]], corners),
        "values, the middle": (pair[:, 1, 1], corners.mean(axis=1)),  # in all four
    }


@claim(10, "guided backpropagation = two masks at each ReLU, by hand", sources="TN")
def _(draw):
    size = draw.size(3, 5)
    with precision(draw.dtype):
        inside = [layers.Dense(6, "relu"), layers.Dense(5, "relu"), layers.Dense(3)]
        model = _drawn(draw, [keras.Input((size, size, 1)), layers.Flatten(), *inside])
        x, _, kinds = _pictures(draw, size)
        first, bias, second, second_bias, last, _ = model.get_weights()
        a = x.reshape(len(x), -1) @ first + bias
        b = np.maximum(a, 0) @ second + second_bias
        g = np.maximum(last.T[kinds], 0) * (b > 0)
        g = np.maximum(g @ second.T, 0) * (a > 0) @ first.T
        found = chapter10.guided_backpropagation(model, x, kinds)
    return {"values": (found, np.abs(g).reshape(found.shape))}


@claim(10, "deletion = insertion of the opposite map backwards; both begin and end right")
def _(draw):
    size = draw.size(3, 5)
    with precision(draw.dtype):
        model = _linear(draw, size)
        x, black, kinds = _pictures(draw, size)
        maps = draw(*x.shape[:3])
        there = chapter10.change_pixels(model, x, black, kinds, maps, steps=size**2)
        back = chapter10.change_pixels(model, black, x, kinds, -maps, steps=size**2)
        ends = [np.mean(tf.nn.softmax(model(each)).numpy()[range(3), kinds]) for each in (x, black)]
        one = x.copy()
        for picture, black_one, order in zip(one, black, maps.reshape(3, -1).argmax(axis=1)):
            picture.reshape(-1)[order] = black_one.reshape(-1)[order]
        second = np.mean(tf.nn.softmax(model(one)).numpy()[range(3), kinds])
    return {
        "values": (there, back[::-1]),
        "values at the ends": (there[[0, -1]], ends),
        "values after one pixel": (there[1], second),
    }


@claim(10, "rank correlation = 1 - 6 Σ d² / (n³ - n); equal numbers share a rank", sources="N")
def _(draw):
    rows, columns = draw.size(3, 6), draw.size(3, 6)
    first, second = (draw.random.permutation(rows * columns) * 1.0 for _ in range(2))
    n, d = rows * columns, first - second
    shape = (1, rows, columns)
    found = chapter10.rank_correlation(first.reshape(shape), second.reshape(shape))
    tied = draw.random.integers(0, 4, n)
    below = (tied < tied[:, np.newaxis]).sum(axis=1)
    equal = (tied == tied[:, np.newaxis]).sum(axis=1)
    return {
        "values": (found, [1 - 6 * np.sum(d**2) / (n**3 - n)]),
        "values of ranks": (chapter10.ranks(tied), below + (equal + 1) / 2),
    }


@claim(10, "gradient × input of a linear reader: the words add up to its score")
def _(draw):
    words = draw.size(5, 9)
    x = draw.random.integers(1, words, (3, draw.size(3, 6)))
    x[1, 2:] = 0
    with precision(draw.dtype):
        inside = [layers.Embedding(words, 4, mask_zero=True, name="embedding")]
        inside += [layers.GlobalAveragePooling1D(), layers.Dense(1)]
        model = _drawn(draw, [keras.Input((None,), dtype="int32"), *inside])
        found = chapter10.gradient_times_input(model, x)
        table, kernel, bias = model.get_weights()
        shares = (table @ kernel)[x][..., 0] / np.sum(x > 0, axis=1, keepdims=True)
        score = model(x)[:, 0] - bias
    return {
        "values": (found.sum(axis=1), score),
        "values, word by word": (found, np.where(x > 0, shares, 0)),
    }


@claim(10, "rollout = what half a token and half its mixture become, layer by layer", sources="TN")
def _(draw):
    time, depth = draw.size(3, 6), draw.size(2, 4)
    weights = [tf.nn.softmax(draw(2, 3, time, time)).numpy() for _ in range(depth)]
    x = mixed = draw(2, time, 4)
    for layer in weights:
        mixed = (mixed + layer.mean(axis=1) @ mixed) / 2
    return {"values": (chapter10.rollout(weights) @ x, mixed)}


@claim(
    10, "two heads: the highest attention and an influence of 0", dtypes=("float64",), sources="T"
)
def _(draw):
    score, weights = chapter10.two_heads()
    without, _ = chapter10.two_heads(np.arange(5) != weights.argmax())
    return {"values": (without, score), "values of the place": (weights.argmax(), 0)}


# --- mistakes to be seen --------------------------------------------------------------------

PATH, BILL, CAM, MEAN = {"by": "linear"}, {"by": "completeness"}, {"by": "slopes"}, {"by": "behind"}
COVER, GUIDED, ORDER, RANKS = {"by": "occlusion"}, {"by": "guided"}, {"by": "del"}, {"by": "rank"}
page = chapter10
mutant(10, page.saliency, "np.abs(", "(", "signs are kept", by="saliency")
mutant(10, page.score_of, "kinds, axis=1", "0 * kinds, axis=1", "always class 0", **PATH)
mutant(10, page.integrated_gradients, "(x - baseline) * total", "x * total", "times x", **PATH)
mutant(10, page.integrated_gradients, "(k + 0.5)", "k", "begins of the pieces", **BILL)
mutant(10, page.integrated_gradients, "total + gradient_of(model, point, kinds)",
       "total + np.abs(gradient_of(model, point, kinds))", "sizes before the sum",
       **BILL)  # fmt: skip
mutant(10, page.integrated_gradients, "point = baseline +", "point = 0 * baseline +",
       "the path begins at zero", **BILL)  # fmt: skip
mutant(10, page.completeness_gap, "- change", "+ change", "the change is added", **BILL)
mutant(10, page.channel_weights, ".mean(axis=(1, 2))", ".sum(axis=(1, 2))", "a sum over places",
       by="slopes of the score")  # fmt: skip
mutant(10, page.channel_weights, "tf.gather(x,", "tf.gather(tf.nn.softmax(x),",
       "the probability in place of the score", **MEAN)  # fmt: skip
mutant(10, page.grad_cam, "np.maximum(np.einsum(", "np.add(np.einsum(", "without the ReLU",
       by="slopes of the score")  # fmt: skip
mutant(10, page.occlusion, "before - now", "now - before", "the rise", **COVER)
mutant(10, page.occlusion, "fall / times", "fall", "not divided", **COVER)
mutant(10, page.occlusion, "= x.min()", "= 0", "grey in place of black", **COVER)
mutant(10, page.guided_backpropagation, "layer.activation = guided_relu", "pass",
       "the plain gradient", **GUIDED)  # fmt: skip
mutant(10, page.guided_backpropagation, "copy.set_weights(model.get_weights())", "pass",
       "fresh weights", **GUIDED)  # fmt: skip
mutant(10, page.turns, "(-maps)", "maps", "the lowest first", by="deletion")
mutant(10, page.change_pixels, "turn < count", "turn <= count", "one pixel too many", by="deletion")
mutant(10, page.turns, "order.argsort(axis=1)", "order", "an order is no rank",
       by="deletion")  # fmt: skip
mutant(10, page.ranks, "(counts - 1) / 2", "0", "the highest of the shared ranks", **RANKS)
mutant(10, page.rank_correlation, "ranks(a), ranks(b)", "np.ravel(a), np.ravel(b)**3",
       "the numbers themselves", **RANKS)  # fmt: skip
WORDS, ROLL = {"by": "reader"}, {"by": "rollout"}
mutant(10, page.gradient_times_input, "score, vectors) * vectors", "score, vectors)",
       "the gradient alone", **WORDS)  # fmt: skip
mutant(10, page.gradient_times_input, "tf.reduce_sum(tape", "tf.reduce_max(tape",
       "the largest of a vector", **WORDS)  # fmt: skip
mutant(10, page.rollout, "/ 2 @ shares", "/ 2 * shares", "number by number", **ROLL)
mutant(10, page.rollout, "+ itself) / 2", ") / 2", "without the sum around", **ROLL)
mutant(10, page.rollout, "in weights:", "in weights[::-1]:", "from the last layer down", **ROLL)
mutant(10, page.two_heads, "[0.3] * 5", "[0.3, 0, 0, 0, 0]", "values that differ", by="two heads")
