"""Makes the font of the Chinese pictures: the part of Noto Sans CJK SC that the labels need.

    python tools/make_chinese_font.py

It needs Debian's package fonts-noto-cjk and fonttools, which Matplotlib brings. The part has the
blank, ASCII and every character of kerasbook/plotting/chinese/labels.csv, and a name of its own, so
that nobody takes it for the whole font. Run it when the table has new characters.
"""

from pathlib import Path

from kerasbook.plotting.chinese import FAMILY, FONT, TABLE

from fontTools import subset
from fontTools.ttLib import TTCollection

SOURCE = Path("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc")
FAMILY_OF_SOURCE = "Noto Sans CJK SC"
ALWAYS = "".join(map(chr, range(0x20, 0x7F))) + "²±−·…–×"
NAMES = {1: FAMILY, 3: f"{FAMILY}, a part of {FAMILY_OF_SOURCE}", 4: FAMILY, 6: "KerasbookSans"}


def main() -> None:
    """Writes the font."""
    fonts = TTCollection(SOURCE).fonts
    (font,) = [one for one in fonts if one["name"].getDebugName(1) == FAMILY_OF_SOURCE]
    options = subset.Options(layout_features=[], name_IDs=[0, 1, 2, 3, 4, 5, 6, 13, 14])
    options.hinting = False
    part = subset.Subsetter(options)
    part.populate(text=ALWAYS + TABLE.read_text(encoding="utf-8"))
    part.subset(font)
    for number, name in NAMES.items():
        font["name"].setName(name, number, 3, 1, 0x409)
    font["CFF "].cff.fontNames = [NAMES[6]]
    font.save(FONT)
    print(f"{FONT}: {FONT.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
