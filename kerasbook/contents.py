"""What is in the book: its pages are found by their files' names, and read without an import.

A chapter is `kerasbook/chapter<N>.py`, a second page of it `kerasbook/chapter<N>_<name>.py`; those
in `kerasbook/pages` are read and not run. A page's key is its file's name: `chapter6_translation`,
`errata`. Wherever a chapter is named, its number does as well: 6 is `chapter6`.
"""

from __future__ import annotations

import ast
import difflib
import functools
import importlib.util
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kerasbook.program import UserError

PACKAGE = Path(__file__).parent
QUICK = {"epochs": 1, "examples": 512}
LOOP = "loop"  # what the ledger compares and no chapter owns; `kerasbook verify 0`
SHARES = {"accuracy", "auc", "precision", "recall", "f1", "chrf", "bleu"}  # from 0 to 1
NEVER_NEGATIVE = {"loss", "mae", "mse", "rmse", "error", "perplexity", "crossentropy"}
CHAPTER = re.compile(r"chapter(\d+)(?:_(\w+))?")


class UnknownPage(UserError):
    """No page is called so; the message says how to see those there are."""


@dataclass(frozen=True)
class About:
    """What a chapter tells about itself, in the literal `ABOUT` above its `main`.

    Attributes:
        datasets: the embedded one first, then those of TensorFlow Datasets.
        headline: part and name of the score that tables show.
        unit: of that score, where it has one.
        bounds: least and greatest value of flags, beyond those that all chapters have.
        quick: what `--quick` puts in place of `main`'s defaults.
        quick_data: to how many examples a notebook in quick mode cuts every part of the data; None
            leaves them, for a page that looks up certain rows.
        minutes: of `python -m kerasbook.<key>` on two cores, rounded up.
        old_flags: flags that have moved → the key of the chapter that does it now.
        runs: flags of the runs that results.json keeps; the first is the default.
    """

    datasets: list[str] = field(default_factory=list)
    headline: list[str] | None = None
    unit: str = ""
    bounds: dict[str, list[float]] = field(default_factory=dict)
    quick: dict[str, Any] = field(default_factory=lambda: dict(QUICK))
    quick_data: int | None = 1024
    minutes: int | None = None
    old_flags: dict[str, str] = field(default_factory=dict)
    runs: list[str] = field(default_factory=lambda: [""])


@dataclass(frozen=True)
class Page:
    """A page of the book: its module's name and its file."""

    module: str
    path: Path

    @property
    def key(self) -> str:
        """The last part of the module's name: `chapter5_forecasting`."""
        return self.module.rpartition(".")[2]

    @property
    def is_chapter(self) -> bool:
        """Whether it can be run: whether it has a `main`."""
        return CHAPTER.fullmatch(self.key) is not None

    @functools.cached_property
    def text(self) -> str:
        """The source."""
        return self.path.read_text(encoding="utf-8")

    @functools.cached_property
    def tree(self) -> ast.Module:
        """The source, parsed."""
        return ast.parse(self.text, str(self.path))

    @property
    def title(self) -> str:
        """The docstring's first line: `Chapter 5. Long short-term memory`."""
        return (ast.get_docstring(self.tree) or "").partition("\n")[0].lstrip("# ")

    @property
    def short_title(self) -> str:
        """The title without the word chapter: `5. Long short-term memory`."""
        return self.title.removeprefix("Chapter ")

    @functools.cached_property
    def about(self) -> About:
        """Returns what the literal ABOUT says, or the defaults if there is none.

        Raises:
            ValueError: it is no literal, or has a name that means nothing.
        """
        node = self.assigned("ABOUT")
        try:
            return About() if node is None else About(**ast.literal_eval(node))
        except (TypeError, ValueError) as error:
            raise ValueError(f"ABOUT in {self.path.name} cannot be used: {error}") from None

    def assigned(self, name: str) -> ast.expr | None:
        """Returns the expression that the module gives to this name, or None."""
        for node in self.tree.body:
            targets = node.targets if isinstance(node, ast.Assign) else []
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                return node.value
        return None


def pages() -> dict[str, Page]:
    """Returns all pages by their keys: the chapters in order, then those without a `main`."""
    found = [Page(f"kerasbook.{path.stem}", path) for path in PACKAGE.glob("chapter*.py")]
    found = [page for page in found if page.is_chapter]
    others = [Page(f"kerasbook.pages.{p.stem}", p) for p in (PACKAGE / "pages").glob("*.py")]
    found += [page for page in others if page.text.startswith("# %%")]
    return {page.key: page for page in sorted(found, key=lambda page: place_of(page.key))}


def chapters() -> dict[str, Page]:
    """Returns the chapters and their second pages by their keys, in order."""
    return {key: page for key, page in pages().items() if page.is_chapter}


def find(name: int | str) -> Page:
    """Returns the page of this number or key.

    Raises:
        UnknownPage: there is none.
    """
    key, known = key_of(name), pages()
    if key in known:
        return known[key]
    close = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {close[0]}? " if close and not str(name).isdigit() else ""
    raise UnknownPage(f"there is no chapter {name}: {hint}`kerasbook list` shows those there are")


def key_of(name: int | str) -> str:
    """Returns the key that a number or key means; whether there is such a page is not asked.

    >>> key_of(6), key_of("6"), key_of("6_translation"), key_of("errata"), key_of(0)
    ('chapter6', 'chapter6', 'chapter6_translation', 'errata', 'loop')
    """
    name = str(name)
    if name == "0":
        return LOOP
    return f"chapter{name}" if name[:1].isdigit() else name


def place_of(key: str) -> tuple[float, str]:
    """Returns what keys are sorted by: chapters by number, the other pages after them."""
    match = CHAPTER.fullmatch(key)
    return (int(match[1]) if match else float("inf"), key)


def name_of(key: str) -> str:
    """Returns the key as one says it.

    >>> name_of("chapter6"), name_of("chapter6_translation"), name_of("errata")
    ('chapter 6', 'chapter 6, translation', 'errata')
    """
    match = CHAPTER.fullmatch(key)
    if not match:
        return key
    return f"chapter {match[1]}" + (f", {match[2].replace('_', ' ')}" if match[2] else "")


def read(module: str) -> Page:
    """Returns the page of any module, of this package or not, without importing it.

    Raises:
        UnknownPage: there is no such module.
    """
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise UnknownPage(f"there is no module {module}")
    return Page(module, Path(spec.origin))


def load_results() -> dict:
    """Returns results.json: per chapter and data set, five seeds' scores and their bands."""
    file = PACKAGE / "results.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def possible(metric: str, band: list[float]) -> list[float]:
    """Returns a band without values that the metric cannot have: an accuracy is at most 1.

    >>> possible("accuracy", [0.9, 1.1]), possible("val_loss", [-0.5, 2.0]), possible("r2", [-1, 2])
    ([0.9, 1.0], [0.0, 2.0], [-1, 2])
    """
    low, high = band
    words = set(metric.lower().split("_") + metric.lower().split())
    share = any(word in SHARES for word in words)
    if share or words & NEVER_NEGATIVE:
        low = max(low, 0.0)
    return [low, min(high, 1.0) if share else high]
