"""The index: README.md and pictures/ beside the notebooks."""

from __future__ import annotations

import base64
import json
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
        content = picture_in(path)
        if content is not None:
            picture = folder / "pictures" / f"{key}.png"
            with atomic_path(picture) as temporary:
                temporary.write_bytes(content)
            lines += [f"![A picture of this chapter](pictures/{picture.name})", ""]
    with atomic_path(folder / "README.md") as temporary:
        temporary.write_text("\n".join(lines), encoding="utf-8")


def in_numbers(page: Page) -> str:
    """Returns the chapter's command, its minutes, and its headline score over five seeds."""
    found = [f"`python -m {page.module}`"]
    if page.about.minutes:
        found.append(f"about {page.about.minutes} min")
    for entry in list(load_results().get(page.key, {}).values())[:1]:  # of the first data set
        part, metric = page.about.headline or ["", ""]
        if score := entry["scores"].get(part, {}).get(metric):
            name = metric.replace("_", " ")
            found.append(f"{part} {name} {score['mean']:.3f} ± {score['sd']:.3f}")
    return ", ".join(found)


def picture_in(path: Path) -> bytes | None:
    """Returns the PNG of the cell tagged `cover`, else the first; None if there is none."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    tagged = [cell for cell in notebook["cells"] if "cover" in cell["metadata"].get("tags", [])]
    for cell in [*tagged, *notebook["cells"]]:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                return base64.b64decode(output["data"]["image/png"])
    return None
