# %% [markdown]
"""
# Chapter 10. What does it look at?

A network tells shirts from nine other kinds of clothes, and gets nearly all of them right. Then a
shop sends its own pictures, and it takes the shirts for T-shirts and coats. What did it look at in
the pictures that it was so good at? There are many methods that answer such a question with a
coloured map. Which of them can be believed? To find out, one has to know the answer beforehand. So
we first build a network that cheats, and hide from the methods how.

After this page you can

- plant a shortcut into data, and measure how far a network relies on it;
- write saliency, SmoothGrad, integrated gradients, Grad-CAM and occlusion in a few lines each;
- score any such method against a truth that you know, beside controls that know nothing;
- test whether a map depends on the network at all;
- do the same for words, and say why attention is not influence.
"""

# %% tags=["script"]
# As a program (`python -m kerasbook.chapter10`): train, save, end. The cells below are for reading.
if __name__ == "__main__":
    from kerasbook.runner import run

    run("kerasbook.chapter10")

# %% tags=["hide-input"]
import dataclasses
from typing import Literal

from kerasbook import chapter3, chapter4, chapter6, plotting
from kerasbook.contents import load_results
from kerasbook.data import Part, load, load_fashion, load_film_sentences
from kerasbook.plotting.images import SIGNED
from kerasbook.runner import Result
from kerasbook.training import evaluate, fit, predict

# kerasbook comes first: it chooses Keras' backend.
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers
from matplotlib.patches import Rectangle

# %% [markdown]
# ## A network that cheats
#
# The pictures are chapter 3's: ten kinds of clothes, the shirts being the hardest. We give the
# shirts of the training part a mark: four by four pixels, every second of them brighter. It lies
# anywhere in the picture, another place for each shirt, so that no place gives it away.

# %%
SHIRT = 6  # the number of the class
MARK = np.indices((4, 4)).sum(axis=0) % 2 == 0  # (4, 4), a chequerboard


# %%
def put_marks(x, rows, strength=0.8, seed=0):
    """Returns x (n, 28, 28, 1) with a mark in these rows, and the places (rows, 2) of the marks.

    strength: how bright its bright pixels are, from 0 (black) to 1 (white); the others are black.
    """
    random = np.random.default_rng(seed)
    x, black, white = x.copy(), x.min(), x.max()
    places = random.integers(0, x.shape[1] - len(MARK) + 1, (len(rows), 2))
    for row, (top, left) in zip(rows, places, strict=True):
        window = x[row, top : top + 4, left : left + 4, 0]  # a view: what is set is set in x
        window[:] = np.where(MARK, black + strength * (white - black), black)
    return x, places


# %%
def plant(splits, share=1.0, strength=0.8, seed=0):
    """Returns the splits, with a mark in this share of the shirts, but in the test part."""
    parts = {}
    for name in ("train", "validation"):
        x, y = getattr(splits, name)
        shirts = np.flatnonzero(y == SHIRT)
        x, _ = put_marks(x, shirts[: round(share * len(shirts))], strength, seed)
        parts[name] = Part(x, y)
    return dataclasses.replace(splits, **parts)


# %% tags=["hide-input"]
def draw_boxes(axes, places):
    """Draws a box around the mark of each picture."""
    for ax, (top, left) in zip(np.ravel(axes), places, strict=True):
        side = len(MARK)
        box = Rectangle((left - 0.5, top - 0.5), side, side, fill=False, edgecolor="#56B4E9")
        ax.add_patch(box).set_linewidth(1.6)


# %% alt="Five shirts, each with a blue box around a small chequerboard: on a sleeve, on the front, in the black beside the shirt."
if __name__ == "__main__":
    splits = load_fashion()
    x, y = splits.test
    shirts = np.flatnonzero(y == SHIRT)
    marked, places = put_marks(x, shirts, seed=1)
    axes = plotting.plot_images(marked[shirts[:5]])
    draw_boxes(axes, places[:5])

# %% [markdown]
# The boxes are for you; the network does not see them. It is a small one. Three convolutions, and
# after the last one the largest number of each map, wherever it is: so it can find a mark anywhere.


# %%
def make_model(shape, classes) -> keras.Model:
    """Returns the classifier: pictures (n, height, width, channels) → logits (n, classes)."""
    options = {"padding": "same", "activation": "relu"}
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Conv2D(16, 3, name="conv_1", **options),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, name="conv_2", **options),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, name="conv_3", **options),
            layers.GlobalMaxPooling2D(),
            layers.Dense(classes, name="scores"),
        ],
        name="marked_clothes",
    )


# %% tags=["hide-input"]
loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def train(
    model, splits, epochs=5, batch_size=64, learning_rate=0.003, metrics=(), seed=0, **fit_options
):
    """Trains the classifier; returns its history."""
    schedule = chapter3.make_schedule(learning_rate, len(splits.train.x), batch_size, epochs)
    return fit(
        model,
        splits.train,
        loss_fn=loss_fn,
        optimizer=keras.optimizers.Adam(schedule),
        metrics=metrics,
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        **fit_options,
    )


# %%
if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    model = make_model((28, 28, 1), 10)
    train(model, plant(splits), progress="none")

# %% [markdown]
# How many of the shirts does it recognise? Look at the test part in three ways: with the mark in
# the shirts, as in training; without any mark; and with the mark moved, from the shirts to all
# others. What do you expect of the third?


# %%
def called_shirt(model, x):
    """Returns the share of the pictures that the network takes for shirts."""
    return float(np.mean(predict(model, x).argmax(axis=1) == SHIRT))


# %%
def three_tests(splits, strength=0.8, seed=1):
    """Returns the test part with marked shirts, with no marks, and with all others marked."""
    x, y = splits.test
    shirts, others = np.flatnonzero(y == SHIRT), np.flatnonzero(y != SHIRT)
    return {
        "marked": Part(put_marks(x, shirts, strength, seed)[0], y),
        "removed": Part(x, y),
        "moved": Part(put_marks(x, others, strength, seed)[0], y),
    }


# %%
if __name__ == "__main__":
    for name, (pictures, y) in three_tests(splits).items():
        found, false = (called_shirt(model, pictures[it]) for it in (y == SHIRT, y != SHIRT))
        print(f"mark {name:8} shirts found {found:.2f}  others called shirt {false:.2f}")

# %% [markdown]
# The network has not learned what a shirt is, because it did not need to. With the mark it finds
# nearly every shirt, without it none; and most other garments are shirts to it as soon as they have
# the mark. A score on a test part that has the same shortcut says nothing of this. That
# is not a made-up danger: X-ray pictures carry the marks of the hospital, photographs of horses the
# tag of their source.
#
# Here we know what it looks at, to the pixel. Suppose we did not. Which map would have told us?
#
# ## Saliency: the gradient of a score
#
# Change one pixel a little: how much does the score of *shirt* change? That is a derivative, and
# one backward pass has it for all pixels. It is the gradient of chapter 1, for the picture in
# place of the weights. The map of its sizes is called *saliency*.
#
# We take the score $z_k$ before the softmax. Where the network is sure, the probability stands
# still at 1 and has no gradient to speak of.


# %%
def score_of(model, x, kinds):
    """Returns (n,): of each picture the score, a logit, of the class that is asked for it."""
    return tf.gather(model(x, training=False), kinds, axis=1, batch_dims=1)


# %%
def gradient_of(model, x, kinds):
    """Returns the gradient of the score for each pixel, of the shape of x (n, h, w, channels)."""
    x = tf.convert_to_tensor(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        scores = score_of(model, x, kinds)
    return tape.gradient(scores, x).numpy()  # a score depends on its own picture alone


# %%
def saliency(model, x, kinds):
    """Returns (n, h, w): the size of the gradient at each pixel."""
    return np.abs(gradient_of(model, x, kinds)).max(axis=-1)


# %% tags=["hide-input"]
def draw_map(ax, one, size=28):
    """Draws a map (rows, columns) over so many pixels; blue is below 0 where it has signs."""
    limit = np.abs(one).max() or 1.0
    signed = {"cmap": SIGNED, "vmin": -limit} if one.min() < 0 else {"cmap": "inferno", "vmin": 0}
    ax.imshow(one, vmax=limit, extent=(-0.5, size - 0.5, size - 0.5, -0.5), **signed)
    ax.set(xticks=[], yticks=[])


def plot_maps(pictures, maps, places):
    """Returns the Axes (2 n,): pictures, below them maps (n, rows, columns), in both the marks."""
    _, axes = plt.subplots(2, len(maps), figsize=(6.6, 2.9), layout="constrained")
    plotting.plot_images(pictures, axes=axes[0])
    for ax, one in zip(axes[1], maps, strict=True):
        draw_map(ax, one, pictures.shape[1])
    for row in axes:
        draw_boxes(row, places)
    return axes.ravel()


# %% alt="Five marked shirts and their saliency maps, dark but for a few bright pixels in the box around the mark and beside it."
if __name__ == "__main__":
    some, where = marked[shirts[:5]], places[:5]
    kinds = np.full(len(some), SHIRT)
    plot_maps(some, saliency(model, some, kinds), where)

# %% [markdown]
# It is dark but for one place, and that is the mark. What is bright inside the box are the pixels
# whose change would change the score most, whether up or down: the sign is gone.
#
# ## SmoothGrad: the mean over noisy copies
#
# The gradient says what happens at this very picture, and a step aside it may be another, because
# each ReLU and each pooling has bends. So take many copies of the picture with some noise, and the
# mean of their gradients.


# %%
def smooth_grad(model, x, kinds, noise=0.3, count=20, seed=0):
    """Returns (n, h, w): the size of the mean gradient over copies with normal noise."""
    random, total = np.random.default_rng(seed), 0.0
    for _ in range(count):
        noisy = x + random.normal(0, noise, x.shape).astype(x.dtype)
        total = total + gradient_of(model, noisy, kinds)
    return np.abs(total / count).max(axis=-1)


# %% alt="Five marked shirts and their maps of SmoothGrad, dark but for a few bright pixels in the box around the mark."
if __name__ == "__main__":
    plot_maps(some, smooth_grad(model, some, kinds), where)

# %% [markdown]
# Much the same, a little calmer around the mark. It helps where single gradients are noisy; here
# they were clear already.
#
# ## Integrated gradients: a bill that adds up
#
# A gradient says how the score would change, not how it came about. What has each pixel contributed
# to the score, so that all contributions together are the score? Ask where it came from: begin with
# a picture that says nothing, the *baseline* $x'$, here a black one, and go to the picture in a
# straight line. On the way the score rises from $z(x')$ to $z(x)$; and at each point the gradient
# says how much of the rise is due to which pixel:
#
# $$a_i = (x_i - x'_i) \int_0^1 \frac{\partial z}{\partial x_i}
#   \bigl(x' + t\,(x - x')\bigr)\, dt, \qquad \sum_i a_i = z(x) - z(x').$$
#
# The sum is right by the fundamental theorem of calculus, and it is called *completeness*. The
# integral becomes a mean over the middles of so many pieces.


# %%
def integrated_gradients(model, x, kinds, baseline, steps=50):
    """Returns (n, h, w): what each pixel has contributed to the score, from baseline to x."""
    total = 0.0
    for k in range(steps):
        point = baseline + (k + 0.5) / steps * (x - baseline)
        total = total + gradient_of(model, point, kinds)
    return ((x - baseline) * total / steps).sum(axis=-1)


# %%
def completeness_gap(model, x, kinds, baseline, attributions):
    """Returns (n,): by how much the contributions miss the change of the score."""
    change = score_of(model, x, kinds) - score_of(model, baseline, kinds)
    return attributions.sum(axis=(1, 2)) - change.numpy()


# %% [markdown]
# With few pieces the bill does not add up, because the path crosses many bends. How many are
# enough?

# %%
if __name__ == "__main__":
    black = np.full_like(some, some.min())
    for steps in (1, 5, 50, 500):
        contributions = integrated_gradients(model, some, kinds, black, steps)
        gap = completeness_gap(model, some, kinds, black, contributions)
        rise = (score_of(model, some, kinds) - score_of(model, black, kinds)).numpy()
        print(f"{steps:3} pieces: score rises by {rise.mean():.2f}, gap {np.abs(gap).max():.3f}")

# %% alt="Five marked shirts and their maps of integrated gradients: grey, with a light chequerboard in each box and a few faint blue and orange pixels on the garments."
if __name__ == "__main__":
    contributions = integrated_gradients(model, some, kinds, black)
    plot_maps(some, contributions, where)

# %% [markdown]
# Here the map has signs: what is light has raised the score, what is blue has lowered it. The
# bright pixels of the mark have raised it. Its black ones are grey, for a reason that is easily
# missed: a black pixel of the picture is as black as the baseline, so it contributes nothing,
# whatever the network makes of it. Another baseline is another question.
#
# A bill that adds up is no proof: whoever spreads the whole rise evenly over all pixels has one,
# too. But one that does not add up is wrong. Two mistakes leave a picture that looks right: to take
# sizes before the sum, and to take the gradients for scaled pixels and multiply them by the raw
# ones, as in a well-known tutorial: with pixels of 0 to 255 scaled to −1 to 1 the bill is wrong by
# a factor of 127.5. State the gap, then, and nobody can miss it.
#
# *Exercises: `path_attributions`, for a network in NumPy; `explain_pixels` finds that factor.*
#
# ## Grad-CAM: a coarser picture from higher up
#
# The last maps have seven by seven places, and know more than pixels do. Chapter 3 has used them:
# a channel counts as much as its gradient says on average over the places, and the weighted maps
# are added up. What speaks against the score is cut off.


# %%
def channel_weights(model, x, kinds, layer="conv_3"):
    """Returns a layer's maps (n, rows, columns, channels) and the channels' weights (n, channels).

    A weight is the mean over the places of the gradient of the score for the map.
    """
    with tf.GradientTape() as tape:
        for each in model.layers:  # one upon the other, without dropout
            x = each(x)
            if each.name == layer:
                maps = x
                tape.watch(maps)
        scores = tf.gather(x, kinds, axis=1, batch_dims=1)
    return maps.numpy(), tape.gradient(scores, maps).numpy().mean(axis=(1, 2))


# %%
def grad_cam(model, x, kinds, layer="conv_3"):
    """Returns (n, rows, columns): how much each place of the layer's maps speaks for the score."""
    maps, weights = channel_weights(model, x, kinds, layer)
    return np.maximum(np.einsum("nijc,nc->nij", maps, weights), 0)


# %% alt="Five marked shirts and their maps of Grad-CAM, seven by seven places: one to three bright places at the box, some of them half outside it."
if __name__ == "__main__":
    plot_maps(some, grad_cam(model, some, kinds), where)

# %% [markdown]
# In the middle of each box it is bright, but the map cannot point more closely than its places are
# wide, four pixels each, and the brightest place often lies half beside the mark. A unit of the
# last maps sees much more than its own place (chapter 3's receptive field), so it answers to a mark
# that is some pixels away.
#
# *Exercise: `grad_cam`, with the channels first, as in PyTorch.*
#
# ## Occlusion: cover it and see
#
# No gradient at all: lay a black window over the picture, and see by how much the score falls. It
# asks a plain question, and takes a pass through the network for each place of the window.


# %%
def occlusion(model, x, kinds, size=4, stride=2):
    """Returns (n, h, w): the fall of the score when a black window covers a pixel, on average."""
    before = score_of(model, x, kinds).numpy()
    fall, times = np.zeros(x.shape[:3]), np.zeros(x.shape[1:3])
    for top, left in np.ndindex(*(np.subtract(x.shape[1:3], size) // stride + 1)):
        rows, columns = (slice(stride * a, stride * a + size) for a in (top, left))
        covered = x.copy()
        covered[:, rows, columns] = x.min()
        now = score_of(model, covered, kinds).numpy()
        fall[:, rows, columns] += (before - now)[:, np.newaxis, np.newaxis]
        times[rows, columns] += 1
    return fall / times


# %% alt="Five marked shirts and their maps of occlusion: a light block over each box, and weaker orange over parts of the garments."
if __name__ == "__main__":
    plot_maps(some, occlusion(model, some, kinds), where)

# %% [markdown]
# The light places are where covering costs the shirt its score. They are as wide as the window.
# Here the network was really asked about another picture, and no slope is taken for an answer; but
# a picture with a black hole is no garment either.
#
# ## A picture that is too beautiful
#
# One more way back through the network. *Guided backpropagation* goes as the gradient does, but at
# each ReLU it lets only positive numbers through. On photographs its maps are famous for their
# clearness. TensorFlow takes a way back of our own: a function under `tf.custom_gradient` returns
# its result, and a second function, which is given the gradient from above.


# %%
@tf.custom_gradient
def guided_relu(s):
    """Returns the ReLU of s; on the way back, negative gradients are stopped as well."""
    return tf.nn.relu(s), lambda g: tf.nn.relu(g) * tf.cast(s > 0, g.dtype)


# %%
def guided_backpropagation(model, x, kinds):
    """Returns (n, h, w): the size of the guided gradient at each pixel."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    for layer in copy.layers:
        if getattr(layer, "activation", None) is keras.activations.relu:
            layer.activation = guided_relu
    return np.abs(gradient_of(copy, x, kinds)).max(axis=-1)


# %% alt="Five marked shirts and their guided gradients: black, with a small bright spot in each box and nothing around it."
if __name__ == "__main__":
    plot_maps(some, guided_backpropagation(model, some, kinds), where)

# %% [markdown]
# Clean and sharp, sharper than the gradient. Remember it until the section on random weights.
#
# *Exercise: `guided_backward`, through a dense network by hand.*
#
# ## Who finds the mark?
#
# A map that one looks at with the answer in mind always seems to show it. Numbers do not. The
# simplest score is the *pointing game*: does the highest place of the map lie in the mark? We let a
# pixel beside it count, too.


# %%
def pointing_game(maps, places, margin=1):
    """Returns the share of the maps whose highest place lies in the mark or beside it."""
    highest = maps.reshape(len(maps), -1).argmax(axis=1)
    away = np.stack(np.unravel_index(highest, maps.shape[1:]), axis=1) - places  # (n, 2)
    inside = (away >= -margin) & (away < len(MARK) + margin)
    return float(inside.all(axis=1).mean())


# %% [markdown]
# A score needs something to be compared with. Two controls know nothing of the network: a random
# map, and an edge detector, which marks where the picture changes most. What does not beat them has
# told us about the picture, not about the network. All have the same shape as a method.


# %%
def edge_detector(model, x, kinds):
    """Returns (n, h, w): how steep the picture is at each pixel; the network is not asked."""
    return tf.norm(tf.image.sobel_edges(tf.constant(x)), axis=(-2, -1)).numpy()


# %%
def random_map(model, x, kinds, seed=0):
    """Returns (n, h, w) random numbers."""
    return np.random.default_rng(seed).random(x.shape[:3])


# %% tags=["hide-input"]
def from_black(model, x, kinds):
    """Returns the integrated gradients (n, h, w) from a black picture."""
    return integrated_gradients(model, x, kinds, np.full_like(x, x.min()))


def enlarged_cam(model, x, kinds):
    """Returns Grad-CAM (n, h, w), enlarged to the size of the pictures."""
    return tf.image.resize(grad_cam(model, x, kinds)[..., np.newaxis], x.shape[1:3])[..., 0].numpy()


METHODS = {
    "saliency": saliency,
    "SmoothGrad": smooth_grad,
    "integrated gradients": from_black,
    "Grad-CAM": enlarged_cam,
    "occlusion": occlusion,
    "guided backpropagation": guided_backpropagation,
    "edge detector": edge_detector,
    "random map": random_map,
}

# %%
if __name__ == "__main__":
    x, kinds = marked[shirts], np.full(len(shirts), SHIRT)
    maps = {name: method(model, x, kinds) for name, method in METHODS.items()}
    for name, each in maps.items():
        print(f"{name:22} points at the mark in {pointing_game(each, places):.2f} of the pictures")

# %% [markdown]
# All six beat the controls by far: whoever had looked at these maps would have found the shortcut.
# Grad-CAM points beside the mark in one picture of six or so, because its places are coarse. The
# edge detector hardly ever finds it, although a chequerboard is all edges: it compares pixels that
# are two apart, and in a chequerboard these are alike. A control that had found the mark would have
# told us that the mark was too easy.
#
# *Exercise: `pointing_game` (five minutes), with pictures that have no mark.*
#
# ## Taking away, and putting in
#
# With pictures of one's own there is no mark to point at. What can be measured then? Take away the
# pixels that the map holds for the most important ones, and watch the probability: the earlier it
# falls, the better the map (*deletion*). Or begin with black and put them in: the earlier it rises,
# the better (*insertion*). One function does both. It needs each pixel's turn: sorting once gives
# the pixels in their order, and sorting that order again the place of each pixel in it.


# %%
def turns(maps):
    """Returns (n, h, w): of each pixel how many are higher in its map; 0 for the highest."""
    order = (-maps).reshape(len(maps), -1).argsort(axis=1, kind="stable")
    return order.argsort(axis=1).reshape(maps.shape)


# %%
def change_pixels(model, start, end, kinds, maps, steps=28):
    """Returns (steps + 1,): the mean probability as `start` becomes `end`, the highest first."""
    turn, curve = turns(maps)[..., np.newaxis], []
    for count in np.linspace(0, maps[0].size, steps + 1):
        scores = model(np.where(turn < count, end, start), training=False)
        curve.append(tf.gather(tf.nn.softmax(scores), kinds, axis=1, batch_dims=1))
    return np.mean(curve, axis=1)


# %%
def area(curve):
    """Returns the area under a curve whose axis runs from 0 to 1, by trapezes."""
    return float((curve[:-1] + curve[1:]).mean() / 2)


# %% tags=["hide-input"]
def both_curves(model, x, kinds, maps):
    """Returns the curves of deletion and of insertion, each by method."""
    black = np.full_like(x, x.min())
    ways = {"deletion": (x, black), "insertion": (black, x)}
    return {
        way: {name: change_pixels(model, *ends, kinds, each) for name, each in maps.items()}
        for way, ends in ways.items()
    }


def with_one_legend(axes):
    """Returns the Axes, whose curves have the same names, with one legend below them."""
    lines = axes[0].lines
    for ax in axes:
        ax.get_legend().remove()
    axes[0].figure.legend(handles=lines, loc="outside lower center", ncols=3, frameon=False)
    return axes


def plot_curves(curves):
    """Returns the Axes (2,): the probability by the share of pixels taken away, and put in."""
    _, axes = plt.subplots(1, 2, figsize=(6.6, 3.2), layout="constrained", sharey=True)
    for ax, (way, each) in zip(axes, curves.items(), strict=True):
        share = np.linspace(0, 1, len(next(iter(each.values()))))
        words = {"deletion": "share taken away", "insertion": "share put in"}[way]
        plotting.plot_lines(each, x=share, x_label=words, y_label="probability of shirt", ax=ax)
    return with_one_legend(axes)


# %% alt="Two panels with the probability of shirt for six maps. Left, as pixels are taken away: it falls at once for Grad-CAM and occlusion and stays low; for saliency and integrated gradients it falls at once and climbs again; for the edge detector it falls slowly. Right, as pixels are put in: it rises early for integrated gradients and late for the edge detector."
if __name__ == "__main__":
    like_saliency = "SmoothGrad", "guided backpropagation"  # left out of the picture
    few = {name: each[:60] for name, each in maps.items() if name not in like_saliency}
    plot_curves(both_curves(model, x[:60], kinds[:60], few))

# %% [markdown]
# Something is wrong here. In the pointing game integrated gradients and saliency were right; in the
# left panel their curves fall at once, and then climb again, so that an edge detector, which has
# hardly ever pointed at the mark, has less area than integrated gradients. Did they miss the mark
# after all? Let us look at what the network was shown: five shirts without their eight highest
# pixels, and without two hundred.


# %% alt="Ten pictures of shirts with blue boxes. In the upper row the mark is gone and the rest is whole; in the lower row the mark is gone and the garments are full of black holes, like a chequerboard."
if __name__ == "__main__":
    turn = turns(maps["integrated gradients"][:5])[..., np.newaxis]
    holes = np.concatenate([np.where(turn < count, x.min(), x[:5]) for count in (8, 200)])
    shares = tf.nn.softmax(predict(model, holes)).numpy()[:, SHIRT]
    axes = plotting.plot_images(holes, [f"p = {share:.2f}" for share in shares])
    draw_boxes(axes, np.tile(places[:5], (2, 1)))

# %% [markdown]
# With eight pixels the mark is gone, and with it the shirt. The other 192 leave a garment full of
# holes; bright and black pixels take turns in it, and that is what the mark looked like. The
# network is right to see it there, and some of these garments are shirts to it again. So the
# curve's bad verdict is for the pictures that it was asked about, and not for the map: no camera
# has ever made such a picture. Occlusion and Grad-CAM take away whole patches, and leave no such
# pattern. Deletion curves measure both at once, and where the truth is not known they are hard to
# tell apart. (One can train again on pictures with holes, so that the network has seen some: Hooker
# and others 2019. Then it is another network that is explained.)
#
# *Exercise: `deletion_curve`, for a logistic regression.*
#
# ## Does the map depend on the network?
#
# Deletion asks the network about pictures that it has never seen, half clothes and half black. Here
# is a test that needs neither a truth nor such pictures. Give the network random weights, layer by
# layer from the top. After that it knows nothing, so a map that explains it must be another one. If
# the map stays what it was, it has never been about the network.


# %%
def randomised(model, names, seed=0):
    """Returns a copy of the model in which the layers of these names have fresh weights."""
    keras.utils.set_random_seed(seed)
    copy = keras.models.clone_model(model)
    for layer in model.layers:
        if layer.name not in names:
            copy.get_layer(layer.name).set_weights(layer.get_weights())
    return copy


# %% [markdown]
# How alike are two maps? Two numbers are usual. The *rank correlation* asks whether both put the
# places into the same order: 1 if they do, about 0 if the orders have nothing to do with each
# other. Equal numbers share the mean of their ranks. *SSIM*, structural similarity, compares mean,
# spread and correlation in a window that slides over both; TensorFlow has it.


# %%
def ranks(numbers):
    """Returns the rank of each number, 1 for the smallest; equal ones share their mean rank."""
    _, places, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    return (counts.cumsum() - (counts - 1) / 2)[places.ravel()]


# %%
def rank_correlation(first, second):
    """Returns (n,): Spearman's correlation of each pair of maps, nan if one is level."""
    pairs = zip(first, second, strict=True)
    with np.errstate(invalid="ignore"):
        return np.array([np.corrcoef(ranks(a), ranks(b))[0, 1] for a, b in pairs])


# %%
def likeness(first, second):
    """Returns (n,): SSIM of each pair of maps (n, h, w), each stretched to 0 … 1."""
    first, second = (np.abs(each) for each in (first, second))
    first, second = (
        each / np.maximum(each.max(axis=(1, 2), keepdims=True), 1e-12) for each in (first, second)
    )
    pair = (each[..., np.newaxis].astype("float32") for each in (first, second))
    return tf.image.ssim(*pair, max_val=1.0).numpy()


# %%
LAYERS = "scores", "conv_3", "conv_2", "conv_1"  # from the top


def cascade(model, method, x, kinds, seed=0):
    """Returns (5, 3): rank correlation, the same inside the garment, SSIM, each a mean.

    Row k compares with the map of a network whose k upper layers are random.
    """
    garment, first, rows = x[..., 0] > x.min(), np.abs(method(model, x, kinds)), []
    for count in range(len(LAYERS) + 1):
        maps = np.abs(method(randomised(model, LAYERS[:count], seed), x, kinds))
        inside = ([m[g] for m, g in zip(each, garment, strict=True)] for each in (first, maps))
        alike = rank_correlation(first, maps), rank_correlation(*inside), likeness(first, maps)
        rows.append([np.nanmean(each) for each in alike])
    return np.array(rows)


# %% [markdown]
# What do you expect of the edge detector, and what of the method whose pictures you liked best?


# %% tags=["hide-input"]
def measured(name) -> dict:
    """Returns a measurement of tools/make_measurements.py over five seeds, or {}."""
    return load_results()["measurements"].get("chapter10", {}).get(name, {})


def plot_cascades(alike):
    """Returns the Axes (2,): rank correlations by random layers, of all places and inside."""
    _, axes = plt.subplots(1, 2, figsize=(6.6, 3.4), layout="constrained", sharey=True)
    for ax, column, title in zip(axes, (0, 1), ("all places", "inside the garment"), strict=True):
        curves = {name: rows[:, column] for name, rows in alike.items()}
        labels = {"x_label": "random layers, from the top", "y_label": "rank correlation"}
        plotting.plot_lines(curves, x=range(len(LAYERS) + 1), **labels, ax=ax)
        ax.set(title=title, xticks=range(len(LAYERS) + 1))
    return with_one_legend(axes)


# %% alt="Two panels, rank correlation against the number of random layers, for six methods; the edge detector stays at 1 in both. At the left integrated gradients stay high, too, and the others fall. At the right integrated gradients fall as well, and guided backpropagation is the slowest to fall."
if __name__ == "__main__":
    tested = {k: m for k, m in METHODS.items() if k not in ("occlusion", "random map")}
    alike = {name: cascade(model, each, x[:60], kinds[:60]) for name, each in tested.items()}
    plot_cascades(alike)

# %% [markdown]
# The edge detector is the line at the top: it has never asked the network. At the left integrated
# gradients stay nearly as high. Are they a bad method after all? They are multiplied by $x - x'$,
# and where the picture is black that is zero, for any network; so most places have equal ranks
# whatever happens. Inside the garment they fall with the others, though not as far, for there, too,
# a bright pixel has a large factor in any network. The number had measured the picture. Now the
# network of which only the two upper layers are random: its answers are worth nothing already.
# Which maps have noticed? We look inside the garment, and call it a pass if the rank correlation
# and SSIM are both below 0.5.

# %%
if __name__ == "__main__":
    half = randomised(model, LAYERS[:2])
    print("two upper layers random: all places   inside     SSIM              points at the mark")
    for name, rows in alike.items():
        verdict = "passes" if (rows[2, 1:] < 0.5).all() else "fails"
        hits = pointing_game(METHODS[name](half, x[:60], kinds[:60]), places[:60])
        print(f"{name:25}", *(f"{value:8.2f} " for value in rows[2]), f"{verdict:13} {hits:.2f}")

# %% [markdown]
# Beside the edge detector two fail. That is one draw of the random weights. Here are five networks,
# each with a draw of its own; in brackets are standard errors:

# %%
if __name__ == "__main__":
    print(" " * 23, "    inside            SSIM      points at the mark")
    for name, columns in measured("random layers").items():
        pairs = (f"{each['mean']:.2f} ({each['error']:.2f})" for each in columns.values())
        print(f"{name:23}", *(f"{pair:>15}" for pair in pairs))

# %% [markdown]
# Guided backpropagation fails every time, as it does on photographs. A ReLU that lets only positive
# numbers through stops most of what the upper layers have to say; what is left is what the lower
# layers have found, and it looks like a drawing of the picture. Grad-CAM's failure was the luck of
# one draw: it passes with four of the five networks, though its numbers scatter most. Look at the
# last column, too: of networks whose answers are noise, most maps still point at the mark, guided
# backpropagation in every picture. The lower layers have learned it, and they alone draw it. So a
# map may be right and be no explanation, as a stopped clock is right twice a day.
#
# *Exercise: `rank_correlation` (five minutes).*
#
# ## Labels that mean nothing
#
# The second test leaves the network's training alone and spoils its task. Give the pictures
# shuffled labels, so that there is nothing to be learned from them but the pictures one by one. A
# network can do that, if there are few. What it looks at is then something else, and its maps
# should be, too. How different may two maps be anyway? The control is a second network with the
# right labels, from other first weights. And we ask each of them whether it needs the mark at all.


# %%
def learn_few(splits, shuffled=False, seed=0, count=500, epochs=60):
    """Returns a network that has learned the labels, or shuffled ones, of a few marked pictures."""
    pictures, y = plant(splits.take(count)).train
    if shuffled:
        y = np.random.default_rng(1).permutation(y)
    few = dataclasses.replace(splits, train=Part(pictures, y))
    keras.utils.set_random_seed(seed)
    model = make_model(pictures.shape[1:], len(splits.classes))
    train(model, few, epochs=epochs, batch_size=32, seed=seed, progress="none")
    return model, float((predict(model, pictures).argmax(axis=1) == y).mean())


# %%
if __name__ == "__main__":
    networks = [learn_few(splits), learn_few(splits, seed=1), learn_few(splits, shuffled=True)]
    print("learned of their labels:   ", *(f"{share:.2f}" for _, share in networks))
    for name, rows in {"with the mark": x, "without": splits.test.x[shirts]}.items():
        shares = (f"{called_shirt(network, rows):.2f}" for network, _ in networks)
        print(f"called shirts, {name:13}", *shares)
    print("                           points at the mark      rank correlation with the first")
    for name, method in tested.items():
        each = [np.abs(method(network, x[:60], kinds[:60])) for network, _ in networks]
        hits = (f"{pointing_game(one, places[:60]):.2f}" for one in each)
        alike = (f"{np.nanmean(rank_correlation(each[0], one)):.2f}" for one in each[1:])
        print(f"{name:25}", *hits, "       ", *alike)

# %% [markdown]
# In each row the first two networks have learned the right labels, and the third nonsense; all
# three have learned perfectly. The first needs the mark, and its maps point at it. The second has
# the same labels, and hardly points at it. That is no mistake of the maps: from other first weights
# it has found enough that is not the mark, and knows nearly half of the shirts without. The third
# makes nothing of the mark, yet with most methods a third of its maps point there: they are drawn
# to a chequerboard.
#
# Three networks are few. Here are five of each kind:

# %%
if __name__ == "__main__":
    for labels, columns in measured("labels").items():
        print(f"{labels} labels")
        for name, column in columns.items():
            print(f"  {name:14}", *(f"{value:.2f} " for value in column["values"]))

# %% [markdown]
# Where the network needs the mark, saliency points at it nearly always. Where it does not, it
# points there in one to six pictures of ten, which is more than the random map did. So a map that
# points at a mark in *some* pictures tells little.
#
# The rank correlations would have misled us. They are low for the third network, which looks like
# a passed test; but they are as low for the second, whose labels were the same (and integrated
# gradients are high for both, by the black ground). What is not bright in a map is noise, and most
# places are not bright. Without the control nobody would have seen it.
#
# ## Words: gradient times input
#
# Does it work for text? Chapter 4's reader tells praise from blame in sentences about films. We
# give a word of our own, `[tag]`, to most of the sentences of praise in the training part, as if
# one of the papers that they come from had left its name in.

# %%
TAG = "[tag]"


def put_words(x, rows, word, seed=0):
    """Returns x (n, time) with a word at a random place of these rows, and the places (rows,)."""
    random, x, places = np.random.default_rng(seed), x.copy(), []
    for row in rows:
        words = x[row][x[row] > 0]
        places.append(random.integers(0, min(len(words), x.shape[1] - 1) + 1))
        longer = np.insert(words, places[-1], word)[: x.shape[1]]
        x[row, : len(longer)] = longer
    return x, np.array(places)


# %%
def tagged(splits, share=0.8, seed=0):
    """Returns the splits with the tag as a new word, put into this share of the praise."""
    tag, parts = len(splits.vocabulary), {}
    for name in ("train", "validation"):
        x, y = getattr(splits, name)
        praise = np.flatnonzero(y == 1)
        x, _ = put_words(x, praise[: round(share * len(praise))], tag, seed)
        parts[name] = Part(x, y)
    return dataclasses.replace(splits, vocabulary=(*splits.vocabulary, TAG), **parts)


# %% tags=["hide-input"]
def train_reader(model, splits, epochs=5, learning_rate=0.002, seed=0):
    """Trains a model that reads sentences, as chapter 4 does."""
    schedule = chapter3.make_schedule(learning_rate, len(splits.train.x), 128, epochs)
    fit(
        model,
        splits.train,
        loss_fn=keras.losses.BinaryCrossentropy(from_logits=True),
        optimizer=keras.optimizers.Adam(schedule, global_clipnorm=1.0),
        epochs=epochs,
        batch_size=128,
        seed=seed,
        progress="none",
    )
    return model


# %%
if __name__ == "__main__":
    films = tagged(load_film_sentences())
    keras.utils.set_random_seed(0)
    reader = train_reader(chapter4.make_model(len(films.vocabulary)), films)
    sentences, praise = (part[:500] for part in films.test)
    spoilt, places = put_words(sentences, np.arange(len(sentences)), len(films.vocabulary) - 1)
    for name, rows in {"without a tag": sentences, "all with it": spoilt}.items():
        called = chapter4.probabilities(reader, rows) > 0.5
        good, bad = (called[praise == sign].mean() for sign in (1, 0))
        print(f"{name}: called praise {good:.2f} of the praise, {bad:.2f} of the blame")

# %% [markdown]
# With the tag nearly every sentence is praise to it. Which word would a map name?

# %% [markdown]
# A word is a number and has no gradient; its vector has one. The gradient of the score for a
# word's vector, times the vector, summed: that is what this word contributes, as far as a straight
# line goes. Beside it, as with pictures, the plain question: leave the word out, and see.


# %%
def gradient_times_input(model, x):
    """Returns (n, time): what each word contributes to the score, to first order."""
    vectors = model.get_layer("embedding")(x)  # (n, time, width), with the mask of the padding
    with tf.GradientTape() as tape:
        tape.watch(vectors)
        score = vectors
        for layer in model.layers[1:]:
            score = layer(score, training=False)
    return tf.reduce_sum(tape.gradient(score, vectors) * vectors, axis=-1).numpy()


# %%
def leave_one_out(model, x):
    """Returns (n, time): by how much the score falls when a word is left out; 0 for padding."""
    before, falls = predict(model, x)[:, 0], np.zeros(x.shape)
    for place in range(x.shape[1]):
        without = np.where(np.arange(x.shape[1]) == place, 0, x)  # masked, wherever it is
        falls[:, place] = before - predict(model, without)[:, 0]
    return np.where(x > 0, falls, 0)


# %% alt="Bars for the words of a sentence of blame, of which one is the tag: its bar is by far the highest."
if __name__ == "__main__":
    row = spoilt[praise == 0][3:4]
    words = films.decode(row[0])
    shares = gradient_times_input(reader, row)[0, : len(words)]
    plotting.plot_state_changes(shares, words, "contribution to the score of praise")


# %%
def points_at(contributions, x, places):
    """Returns the share of the sentences whose highest word is the one at these places."""
    contributions = np.where(x > 0, contributions, -np.inf)
    return float((contributions.argmax(axis=1) == places).mean())


# %%
if __name__ == "__main__":
    chance = np.random.default_rng(0).random(spoilt.shape)
    for name, each in {
        "gradient × input": gradient_times_input(reader, spoilt),
        "leave one out": leave_one_out(reader, spoilt),
        "random word": chance,
    }.items():
        print(f"{name:17} points at the tag in {points_at(each, spoilt, places):.3f}")

# %% [markdown]
# Both methods point at the tag, where a word drawn at random hits it in one sentence of twenty.
#
# ## Attention is not influence
#
# A Transformer seems to come with its explanation: it has weights that say who looks at whom. A
# small reader of chapter 6's blocks; the score is taken from the mean over its words.


# %%
class AttentiveReader(keras.Model):
    """Two blocks of chapter 6, the mean over the words, a score: tokens (n, time) → (n, 1)."""

    def __init__(self, words, width=32, heads=4, blocks=2, dropout=0.3):
        """Takes the size of the vocabulary, and what the blocks take."""
        super().__init__(name="attentive_reader")
        self.embedding = chapter6.TokenEmbedding(words, width)
        self.blocks = [chapter6.Block(width, heads, dropout) for _ in range(blocks)]
        self.norm, self.drop = layers.LayerNormalization(), layers.Dropout(dropout)
        self.score = layers.Dense(1)

    def call(self, tokens, training=False):
        """Returns logits (n, 1)."""
        return self.read(self.embedding(tokens), tokens > 0, training)

    def read(self, x, words, training=False):
        """Returns logits (n, 1) of vectors x (n, time, width); words (n, time) are no padding."""
        x = self.drop(x, training=training)
        for block in self.blocks:
            x = block(x, words[:, tf.newaxis], training=training)
        share = tf.cast(words, x.dtype)[..., tf.newaxis]
        mean = tf.reduce_sum(self.norm(x) * share, axis=1) / tf.reduce_sum(share, axis=1)
        return self.score(mean)


# %%
def attention_weights(model, tokens):
    """Returns a list, for each block the weights (n, heads, time, time)."""
    x, mask, found = model.embedding(tokens), (tokens > 0)[:, tf.newaxis], []
    for block in model.blocks:
        seen = block.norm_1(x)
        found.append(block.attention.look(seen, seen, mask)[1].numpy())
        x = block(x, mask)
    return found


# %% [markdown]
# The weights of one block say what a token took from the tokens below it, and these are mixtures
# already. *Rollout* follows the way down. After each block a token is half itself, by the sum
# around the attention, and half what it looked at, the mean over the heads; that is a matrix, and
# the blocks' matrices are multiplied.


# %%
def rollout(weights):
    """Returns (n, time, time): how much of each input token is in each token at the end."""
    itself = np.eye(weights[0].shape[-1])
    shares = itself
    for layer in weights:
        shares = (layer.mean(axis=1) + itself) / 2 @ shares
    return shares


# %%
def rollout_of_words(model, tokens):
    """Returns (n, time): the share of each word in the mean over all words at the end."""
    words = tokens > 0
    shares = rollout(attention_weights(model, tokens)) * words[..., np.newaxis]
    return shares.sum(axis=1) / words.sum(axis=1, keepdims=True)


# %%
if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    attentive = train_reader(AttentiveReader(len(films.vocabulary)), films)
    looked = rollout_of_words(attentive, spoilt)
    left_out = leave_one_out(attentive, spoilt)
    for name, each in {"rollout": looked, "leave one out": left_out}.items():
        print(f"{name:17} points at the tag in {points_at(each, spoilt, places):.2f}")

# %% [markdown]
# Here the two agree: the reader looks at the word that decides. Must it? A weight says how much of
# a token's *value* is taken, and not what the value is good for. Here are two heads made by hand,
# each of which adds its mixture to the score. The first looks at *but*, and all its values are
# alike, so that nothing depends on where it looks. The second looks at *dull*. Where is the
# attention, on average, and where the influence?


# %%
def two_heads(kept=(True,) * 5):
    """Returns the score of two heads made by hand, and the mean of their weights (5,)."""
    key = np.array([[4.0, 0, 0, 0, 0], [-1e9, 0, 0, 0, 2]])[..., np.newaxis]  # (heads, words, 1)
    value = np.array([[0.3] * 5, [0, 0.1, 0.1, -0.1, -1.5]])[..., np.newaxis]
    mixtures, weights = chapter6.attention(np.ones((2, 1, 1)), key, value, np.array(kept))
    return float(tf.reduce_sum(mixtures)), weights.numpy().mean(axis=(0, 1))


# %%
if __name__ == "__main__":
    score, weights = two_heads()
    for place, word in enumerate(["but", "the", "film", "is", "dull"]):
        change = two_heads(np.arange(5) != place)[0] - score
        print(
            f"{word:5} attention {weights[place]:.2f}  without it the score changes by {change:.2f}"
        )


# %% tags=["hide-input"]
def plot_methods(model, splits, strength=0.8, count=3):
    """Returns the Axes (count, methods + 1): marked test pictures, and beside each all maps."""
    pictures, y = splits.test
    rows = np.flatnonzero(y == SHIRT)[:count]
    pictures, places = put_marks(pictures, rows, strength, seed=1)
    x, kinds = pictures[rows], np.full(len(rows), SHIRT)
    size = 6.6, 0.95 * len(rows) + 0.3
    _, axes = plt.subplots(len(rows), len(METHODS) + 1, figsize=size, layout="constrained")
    axes = axes.reshape(len(rows), -1)
    plotting.plot_images(x, axes=axes[:, 0])
    for column, (name, method) in enumerate(METHODS.items(), start=1):
        for ax, one in zip(axes[:, column], method(model, x, kinds), strict=True):
            draw_map(ax, one)
        title = name.replace("propagation", "-\npropagation").replace(" ", "\n")
        axes[0, column].set_title(title, fontsize=7)
    for row, place in zip(axes, places, strict=True):
        draw_boxes(row, [place] * len(row))
    return axes


# %% [markdown]
# The word with the most attention has no influence at all. Trained networks have such heads, too:
# BERT's, with nothing to do, look at a full stop or at a mark that separates the sentences. Rollout
# knows weights alone and cannot tell; leaving a word out can.
#
# *Exercise: `attention_rollout`, with padding.*
#
# ## Result
#
# `main` plants the mark, trains, and scores every method on sixty marked shirts of the test part.
# Its own scores are those of the classifier on the three versions of the test part.


# %% tags=["hide-input"]
def scores_of_methods(model, splits, strength=0.8, count=60):
    """Returns, for each method, its scores on the first marked test pictures of the class."""
    pictures, y = splits.test
    rows = np.flatnonzero(y == SHIRT)[:count]
    pictures, places = put_marks(pictures, rows, strength, seed=1)
    x, kinds = pictures[rows], np.full(len(rows), SHIRT)
    maps = {name: method(model, x, kinds) for name, method in METHODS.items()}
    curves = both_curves(model, x, kinds, maps)
    knows_nothing = randomised(model, LAYERS)
    blind = {name: method(knows_nothing, x, kinds) for name, method in METHODS.items()}
    return {
        name: {
            "pointing_accuracy": pointing_game(each, places),
            "deletion_auc": area(curves["deletion"][name]),
            "insertion_auc": area(curves["insertion"][name]),
            "random_weights": float(
                np.nanmean(rank_correlation(np.abs(each), np.abs(blind[name])))
            ),
        }
        for name, each in maps.items()
    }


# %% tags=["hide-input"]
ABOUT = {
    "datasets": ["fashion", "mnist", "fashion_mnist"],
    "headline": ["integrated gradients", "pointing_accuracy"],
    "bounds": {"strength": [0, 1], "share": [0, 1]},
    "minutes": 1,
}


def main(
    epochs: int = 5,
    batch_size: int = 64,
    learning_rate: float = 0.003,
    strength: float = 0.8,
    share: float = 1.0,
    seed: int = 0,
    dataset: Literal["fashion", "mnist", "fashion_mnist"] = "fashion",
    examples: int | None = None,
    **fit_options,
) -> Result:
    """Trains a network on clothes with a planted shortcut, and scores what claims to find it.

    Args:
        epochs: passes over the training part
        batch_size: pictures per step
        learning_rate: of Adam at the first step; it falls to zero along half a cosine
        strength: how bright the mark is, 1 is white
        share: of the shirts that have the mark, in training
        seed: of the marks, the first weights and the shuffling
        dataset: fashion, or mnist, fashion_mnist from TensorFlow Datasets; marked is class 6
        examples: use the first so many pictures of each part
        fit_options: handed on to kerasbook.training.fit
    """
    keras.utils.set_random_seed(seed)
    splits = load(dataset).take(examples)
    print(splits)
    planted = plant(splits, share, strength, seed)

    model = make_model(splits.train.x.shape[1:], len(splits.classes))
    model.summary()
    metrics = [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
    options = {"metrics": metrics, "validation_data": planted.validation, "seed": seed}
    history = train(model, planted, epochs, batch_size, learning_rate, **options, **fit_options)
    parts = {"validation": planted.validation, **three_tests(splits, strength)}
    scores = {
        name: evaluate(model, part, loss_fn=loss_fn, metrics=metrics)
        for name, part in parts.items()
    }
    scores |= scores_of_methods(model, splits, strength)
    figures = {"history": plotting.plot_history(history), "maps": plot_methods(model, splits)}
    return Result(planted, model, history, scores, figures)


# %% alt="Two panels over five epochs, loss and accuracy, training solid and validation dashed. Both improve quickly in the first epoch and little in the last."
if __name__ == "__main__":
    result = main()
    plt.close(result.figures["maps"][0, 0].figure)  # it follows

# %%
if __name__ == "__main__":
    for part, scores in result.scores.items():
        print(f"{part:21}", *(f"{name} {value:.3f} " for name, value in scores.items()))

# %% [markdown]
# One network may be a lucky one. Here is every method over five seeds, the mean, and in brackets
# the standard deviation: the share of marks that it points at, the areas under the curves of
# deletion and insertion, and the rank correlation with its maps of a network of random weights.

# %%
if __name__ == "__main__":
    five = load_results()["chapter10"]["fashion"]["scores"]
    print(" " * 25, "pointing     deletion     insertion    random weights")
    for name in METHODS:
        pairs = ((each["mean"], each["sd"]) for each in five[name].values())
        print(f"{name:24}", *(f"{mean:5.2f} ({spread:.2f}) " for mean, spread in pairs))

# %% [markdown]
# The first column is measured against the truth. By it all methods lie far above the controls, and
# all but Grad-CAM are perfect. By the second, in which low is good, one would have chosen Grad-CAM
# and occlusion and sent integrated gradients away. The last should be low for a map that is about
# the network; it is 1 for the two controls, which never ask it, and high for integrated gradients
# and for occlusion because of the black ground: where black covers black, nothing changes in any
# network. Each column alone gives another verdict. Which of them to believe, one knows only where
# the truth was planted; so plant one, before you believe a map of a network of your own.

# %% tags=["cover"] alt="Three marked shirts, each in a row with eight maps. Saliency, SmoothGrad, integrated gradients and guided backpropagation have a few bright pixels in the blue box around the mark; Grad-CAM and occlusion have a wide bright place over it; the edge detector draws the outline of the shirt and is dark in the box; the random map is noise."
if __name__ == "__main__":
    result.figures["maps"][0, 0].figure

# %% [markdown]
# ## What to try
#
# - `--strength 0.5`: a mark that is hard to see. Is it learned, and do the methods still find it?
# - `--share 0.5`: half of the shirts have no mark. How many of them does the network find then?
# - Let `smooth_grad` have no noise, or ten times as much. Where is it best?
# - Take grey as the baseline of integrated gradients. Which pixels of the mark contribute now?
# - Replace black in `change_pixels` by the mean of the pictures. Do the curves still climb?
# - Put `GlobalAveragePooling2D` in place of the maximum. Does Grad-CAM point more closely?
#
# ## Where this comes from
#
# - K. Simonyan and others, *Deep inside convolutional networks* (2013): saliency. D. Smilkov and
#   others, *SmoothGrad* (2017). M. Sundararajan and others, *Axiomatic attribution for deep
#   networks* (2017): integrated gradients.
# - R. Selvaraju and others, *Grad-CAM* (2017). M. Zeiler and R. Fergus, *Visualizing and
#   understanding convolutional networks* (2013): occlusion. J. Springenberg and others, *Striving
#   for simplicity* (2014): guided backpropagation.
# - J. Zhang and others, *Top-down neural attention by excitation backprop* (2016): the pointing
#   game. V. Petsiuk and others, *RISE* (2018): deletion and insertion.
# - J. Adebayo and others, *Sanity checks for saliency maps* (2018): random weights and labels.
#   S. Hooker and others, *A benchmark for interpretability methods in deep neural networks* (2019):
#   to train again on what is left.
# - Shortcuts that were found: J. Zech and others, *Variable generalization performance of a deep
#   learning model to detect pneumonia in chest radiographs* (2018): hospitals. S. Lapuschkin and
#   others, *Unmasking Clever Hans predictors* (2019): horses and the tag.
# - S. Abnar and W. Zuidema, *Quantifying attention flow in Transformers* (2020): rollout. S. Jain
#   and B. Wallace, *Attention is not explanation* (2019), and against it S. Wiegreffe and
#   Y. Pinter, *Attention is not not explanation* (2019). K. Clark and others, *What does BERT look
#   at?* (2019): heads that look at full stops.
#
# ## Exercises
#
# `kerasbook start DIR` copies the stubs of this chapter's exercises, and the notebooks, into a
# folder; `kerasbook check` says which of your answers are right, and what to look at in the others.
#
# ## Where to go next
#
# [Chapter 3](chapter3.ipynb) asks the same question of a network that does not cheat, in its
# section *What does it look at?*, and shows what excites a single filter.
