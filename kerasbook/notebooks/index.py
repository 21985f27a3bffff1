"""The index: README.md and pictures/ beside the notebooks."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from kerasbook.contents import Page, load_results, pages
from kerasbook.files import atomic_path
from kerasbook.notebooks.conversion import path_of


def write_index(folder: Path) -> None:
    """Writes README.md and pictures/: every notebook in the folder, with one picture of each."""
    lines = ["# The chapters as notebooks", "", "Made by `kerasbook notebooks build`.", ""]
    for key, page in pages().items():
        path = path_of(page, folder)
        if not path.exists():
            continue
        lines += [f"## [{page.short_title}]({path.name})", ""]
        if page.is_chapter:
            lines += [in_numbers(page), ""]
        if (folder / f"{key}_exercises.ipynb").exists():
            lines += [f"[Its exercises]({key}_exercises.ipynb)", ""]
        if cover := cover_of(path):
            picture = folder / "pictures" / f"{key}.png"
            with atomic_path(picture) as temporary:
                temporary.write_bytes(cover.png)
            lines += [f"![{cover.alt or 'A picture of this page'}](pictures/{picture.name})", ""]
    with atomic_path(folder / "README.md") as temporary:
        temporary.write_text("\n".join(lines), encoding="utf-8")


def in_numbers(page: Page) -> str:
    """Returns the chapter's command, its minutes, and its headline score over five seeds."""
    found = [f"`python -m {page.module}`"]
    if page.about.minutes:
        found.append(f"about {page.about.minutes} min")
    return ", ".join([*found, score_of(page)] if score_of(page) else found)


def score_of(page: Page) -> str:
    """Returns the headline score over five seeds; empty if results.json has none."""
    for entry in list(load_results().get(page.key, {}).values())[:1]:  # of the first data set
        part, metric = page.about.headline or ["", ""]
        if score := entry["scores"].get(part, {}).get(metric):
            name = metric.replace("_", " ")
            return (
                f"{part} {name} {score['mean']:.3f} ± {score['sd']:.3f} {page.about.unit}".rstrip()
            )
    return ""


@dataclass(frozen=True)
class Cover:
    """A page's picture, and its text alternative: the sentence of its cell."""

    png: bytes
    alt: str


def cover_of(path: Path) -> Cover | None:
    """Returns the picture of the cell tagged `cover`, else the first; None if there is none."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    tagged = [cell for cell in notebook["cells"] if "cover" in cell["metadata"].get("tags", [])]
    for cell in [*tagged, *notebook["cells"]]:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                png = base64.b64decode(output["data"]["image/png"])
                return Cover(png, cell["metadata"].get("alt", ""))
    return None
