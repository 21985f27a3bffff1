"""Images, kernels and feature maps."""

import textwrap
from collections.abc import Sequence
from typing import Any

from kerasbook.plotting import arguments, page
from kerasbook.plotting.page import TEXT_SIZE, VERMILLION

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from numpy.typing import ArrayLike

# Negative is dark and blue, zero mid-grey, positive light and yellow. The lightness only grows, so
# the sign survives a grey print, which no map with two dark ends can offer.
SIGNED = LinearSegmentedColormap.from_list(
    "kerasbook_signed",
    [
        (0.0, "#03224c"),
        (0.22, "#00609a"),
        (0.4, "#5f8cae"),
        (0.5, "#a0a0a0"),
        (0.6, "#dba95c"),
        (0.78, "#fcc14e"),
        (1.0, "#fffbe6"),
    ],
    N=255,
)


def plot_images(
    images: ArrayLike,
    labels: ArrayLike | None = None,
    predictions: ArrayLike | None = None,
    classes: Sequence[str] | None = None,
    columns: int = 5,
    axes: Any = None,
) -> np.ndarray:
    """Returns the Axes (n,) with the pictures images (n, h, w), (n, h, w, 1) or (n, h, w, 3).

    Values may have any range: whole numbers are taken as 0 to 255 and floats as 0 to 1 where they
    fit; anything else is stretched from the lowest to the highest value of this call.

    The title is the true label. A wrong prediction is named after it, "shirt, not coat": a shirt
    which the model took for a coat. Its title is bold and coloured and its frame thick. `labels`
    and `predictions` (n,) are class numbers, named by `classes`, or strings.

    Raises:
        ValueError: another shape, no picture or more than 200, values that are not finite, or
            labels that do not match.
    """
    pictures = _pictures(images)
    count, height, width = pictures.shape[:3]
    page.check_pictures(count, columns, "images[:20]")
    true = None if labels is None else arguments.names(labels, count, classes, "labels")
    guess = (
        None if predictions is None else arguments.names(predictions, count, classes, "predictions")
    )
    caption = 0.26 if true is None or guess is None or true == guess else 0.42
    flat = page.picture_axes(axes, count, columns, height / width, caption)
    for number, ax in enumerate(flat):
        ax.imshow(pictures[number], cmap="gray", vmin=0, vmax=1)
        right = None if true is None else true[number]
        said = None if guess is None else guess[number]
        title = right if right is not None else said or ""
        look: dict[str, Any] = {"fontsize": TEXT_SIZE, "parse_math": False, "pad": 4}
        if None not in (right, said) and right != said:
            title = f"{right}, not {said}"
            look |= {"color": VERMILLION, "fontweight": "bold"}
            ax.spines[:].set(color=VERMILLION, linewidth=3)
        ax.set_title(_caption(ax, title), **look)
    return flat


def _pictures(images: ArrayLike) -> np.ndarray:
    """Return images as (n, h, w) or (n, h, w, 3) between 0 and 1."""
    whole = np.asarray(images).dtype.kind in "ui"
    array = arguments.numbers(images, "images")
    if array.ndim == 4 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.size == 0 or array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[-1] != 3):
        raise ValueError(
            f"images has shape {array.shape}; it must be (n, h, w), (n, h, w, 1) or (n, h, w, 3); "
            "one picture alone is image[None]"
        )
    arguments.all_finite(array, "images")
    low, high = array.min(), array.max()
    if low >= 0 and high <= 1:
        return array
    if low >= 0 and high <= 255 and whole:
        return array / 255
    return (array - low) / (high - low if high > low else 1)


def _caption(ax: Axes, title: str) -> str:
    """Break a title that is wider than the picture, before its "not" if it has one."""
    room = page.room_for_text(ax, 6)
    if len(title) <= 0.8 * room:
        return title
    parts = title.replace(", not ", ",\nnot ").split("\n")
    return "\n".join(textwrap.fill(part, room) for part in parts)


def plot_weights(
    kernel: ArrayLike,
    shape: tuple[int, ...] | None = None,
    titles: Sequence[str] | None = None,
    axes: Any = None,
) -> np.ndarray:
    """Returns the Axes (units,) with the weights of each unit or filter as a picture.

    A dense kernel (inputs, units) needs the input's `shape` (h, w) or (h, w, channels). A
    convolution kernel (kh, kw, channels, filters) has its own. Several channels of one unit stand
    side by side in one picture, left to right, then down. All share one scale with 0 in the
    middle: blue and dark is negative, yellow and light is positive.

    Raises:
        ValueError: a shape that does not hold the inputs, more than 200 pictures, values that are
            not finite, or titles that do not match.
    """
    array = arguments.numbers(kernel, "kernel")
    if array.size == 0:
        raise ValueError(f"kernel has shape {array.shape}: it holds no weights")
    if array.ndim == 2:
        array = _shaped_kernel(array, shape)
        name = "unit "
    elif array.ndim == 4 and (shape is None or tuple(shape) == array.shape[: len(tuple(shape))]):
        name = "filter "
    else:
        raise ValueError(
            f"kernel has shape {array.shape}; it must be dense (inputs, units) with "
            f"shape=(h, w), or of a convolution (kh, kw, channels, filters) without shape"
        )
    arguments.all_finite(array, "kernel")
    channels, count = array.shape[2:]
    page.check_pictures(count, 1, "kernel[..., :20]")
    titles = arguments.titles(titles, name, count)
    blocks = [_tiles(array[..., number]) for number in range(count)]
    limit = np.abs(array).max() or 1.0
    few = (5, 4, 6) if count <= 20 else (8, 6, 7)
    columns = min(few, key=lambda columns: -count % columns)  # the fullest last row
    aspect = blocks[0].shape[0] / blocks[0].shape[1]
    flat = page.picture_axes(axes, count, columns, aspect, bar=0.8)
    colours = SIGNED.with_extremes(bad=(1, 1, 1, 0))
    for ax, block, title in zip(flat, blocks, titles, strict=True):
        picture = ax.imshow(block, cmap=colours, vmin=-limit, vmax=limit, interpolation="nearest")
        ax.set_title(_caption(ax, title), fontsize=TEXT_SIZE, parse_math=False, pad=4)
    page.colour_bar(picture, list(flat), "weight")
    if axes is None and channels > 1:
        note = f"each picture: the {channels} input channels, left to right, then down"
        note = textwrap.fill(note, int(flat[0].figure.get_figwidth() * 72 / 5.2))
        flat[0].figure.supxlabel(note, fontsize=TEXT_SIZE)
    return flat


def _shaped_kernel(array: np.ndarray, shape: tuple[int, ...] | None) -> np.ndarray:
    """Return a dense kernel (inputs, units) as (h, w, channels, units)."""
    inputs, units = array.shape
    sides = () if shape is None else tuple(int(side) for side in shape)
    if len(sides) not in (2, 3) or min(sides) < 1 or int(np.prod(sides)) != inputs:
        raise ValueError(
            f"shape {shape} does not hold the {inputs} inputs of a dense kernel {array.shape}; "
            "pass shape=(h, w) or (h, w, channels) whose product is the number of inputs"
        )
    return array.reshape(*sides[:2], -1, units)


def _tiles(channels: np.ndarray) -> np.ndarray:
    """Return the (h, w, channels) pictures as one, in a near-square grid with gaps of NaN."""
    height, width, count = channels.shape
    columns = count if count <= 3 else int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    gap = max(1, round(0.08 * max(height, width))) if count > 1 else 0
    tiled = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), np.nan)
    for number in range(count):
        top, left = np.array(divmod(number, columns)) * (height + gap, width + gap)
        tiled[top : top + height, left : left + width] = channels[..., number]
    return tiled


def plot_feature_maps(
    maps: ArrayLike, columns: int = 8, titles: Sequence[str] | None = None, axes: Any = None
) -> np.ndarray:
    """Returns the Axes (channels,) with the feature maps (h, w, channels) of one example.

    All share one scale, from the lowest to the highest activation, so that quiet channels look
    quiet. Titles default to the channel's number.

    Raises:
        ValueError: another shape, more than 200 channels, values that are not finite, or titles
            that do not match.
    """
    array = arguments.numbers(maps, "maps")
    if array.ndim != 3 or array.size == 0:
        raise ValueError(
            f"maps has shape {array.shape}; it must be (h, w, channels) of one example: "
            "of a batch take maps[0]"
        )
    arguments.all_finite(array, "maps")
    height, width, count = array.shape
    page.check_pictures(count, columns, "maps[..., :64]")
    titles = arguments.titles(titles, "", count)
    low, high = array.min(), array.max()
    flat = page.picture_axes(axes, count, columns, height / width, bar=0.8)
    for number, ax in enumerate(flat):
        picture = ax.imshow(
            array[..., number],
            cmap="viridis",
            vmin=low,
            vmax=high if high > low else low + 1,
            interpolation="nearest",
        )
        ax.set_title(_caption(ax, titles[number]), fontsize=TEXT_SIZE, parse_math=False, pad=3)
    page.colour_bar(picture, list(flat), "activation")
    return flat
