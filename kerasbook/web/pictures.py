"""Pictures as the site shows them."""

from __future__ import annotations

import io

from PIL import Image


def smaller(png: bytes) -> bytes:
    """Returns a picture with at most 256 colours, which our drawings look the same in."""
    content = io.BytesIO()
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(content, "PNG", optimize=True)
    return content.getvalue()
