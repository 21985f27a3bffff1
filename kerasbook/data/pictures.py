"""Pictures in files, as arrays."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

from kerasbook.data.splits import DataError

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError


def open_picture(file: Path | bytes, name: str) -> Image.Image:
    """Returns the picture of a file, or of its bytes, upright, in grey or in colours, all opaque.

    What is transparent becomes white.

    Raises:
        DataError: it is no picture, or a damaged or an enormous one.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            content = file if isinstance(file, bytes) else file.read_bytes()
            image = Image.open(io.BytesIO(content))
            image.load()
    except FileNotFoundError:
        raise DataError(f"there is no file {name}: name a picture, PNG or JPEG") from None
    except UnidentifiedImageError:
        raise DataError(f"{name} is no picture: take a PNG or JPEG file") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DataError(f"{name} is too large: take a smaller picture") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{name} is damaged ({error}): copy or make it anew") from None
    return opaque(ImageOps.exif_transpose(image))


def opaque(image: Image.Image) -> Image.Image:
    """Returns the picture in grey (L) or in colours (RGB), on white where it is transparent."""
    if image.mode in ("L", "RGB"):
        return image
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) // 256).astype(np.uint8))
    is_grey = image.mode in ("1", "LA", "La", "I", "F")
    layers = image.convert("RGBA")
    ground = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(ground, layers).convert("L" if is_grey else "RGB")


def as_array(image: Image.Image, shape: list[int] | tuple[int, ...]) -> np.ndarray:
    """Returns the picture as (height, width, channels) uint8.

    A picture of another size is made smaller or larger, and where its form is another one it gets
    strips at two sides, of the colour of its edge, so that nothing is cut off or distorted.
    """
    height, width, channels = shape
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (width, height):
        image = ImageOps.pad(image, (width, height), color=edge_colour(image))
    return np.asarray(image, np.uint8).reshape(height, width, channels)


def edge_colour(image: Image.Image) -> tuple[int, ...]:
    """Returns the median of the outermost pixels."""
    pixels = np.asarray(image).reshape(image.height, image.width, -1)
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return tuple(int(value) for value in np.median(edge, axis=0))
