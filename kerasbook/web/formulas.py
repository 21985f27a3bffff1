"""Formulas become HTML and MathML during the build, by KaTeX in V8 (mini-racer)."""

from __future__ import annotations

from pathlib import Path

from docutils import nodes
from py_mini_racer import MiniRacer
from sphinx.application import Sphinx
from sphinx.errors import SphinxError
from sphinx.util.typing import ExtensionMetadata

KATEX = Path(__file__).parent / "katex" / "katex.min.js"
PIECE = '<span class="katex-base">'  # between two of them a formula may be broken
OPENING, CLOSING = ("（", "《", "“", "‘"), "，。；：？！、）》”’"


class Formulas:
    """KaTeX, from the first formula to the end of the build."""

    def __init__(self):
        """Starts nothing: V8 starts with the first formula."""
        self.engine: MiniRacer | None = None

    def render(self, formula: str, display: bool) -> str:
        """Returns the formula's HTML.

        Raises:
            SphinxError: KaTeX cannot read it.
        """
        if self.engine is None:
            self.engine = MiniRacer()
            self.engine.eval(KATEX.read_text(encoding="utf-8"))
        try:
            options = {"displayMode": display, "throwOnError": True, "strict": "ignore"}
            return self.engine.call("katex.renderToString", formula, options)
        except Exception as error:
            raise SphinxError(f"KaTeX cannot read {formula!r}: {error}") from error

    def inline(self, translator, node: nodes.math) -> None:
        """Writes a formula within a line."""
        html = self.render(node.astext(), display=False)
        is_unbroken = "unbroken" in node.parent.get("classes", [])
        translator.body.append(with_breaks(html) if is_unbroken else html)
        raise nodes.SkipNode

    def block(self, translator, node: nodes.math_block) -> None:
        """Writes a formula on lines of its own."""
        translator.body.append(f"<div>{self.render(node.astext(), display=True)}</div>")
        raise nodes.SkipNode

    def close(self, *_) -> None:
        """Stops V8, which left open keeps the program from ending."""
        if self.engine is not None:
            self.engine.close()


# --- line breaks, which browsers allow on both sides of a formula ---------------------------


def keep_marks(app: Sphinx, document: nodes.document, name: str) -> None:
    """Keeps full-width marks on the line of the formula that they stand beside."""
    for formula in list(document.findall(nodes.math)):
        parent, place = formula.parent, formula.parent.index(formula)
        before, behind = text_at(parent, place - 1), text_at(parent, place + 1)
        opening = before[-1:] if before.endswith(OPENING) else ""
        closing = behind[: len(behind) - len(behind.lstrip(CLOSING))]
        if opening or closing:
            group = nodes.inline(classes=["unbroken"])
            rest, then = before.removesuffix(opening), behind.removeprefix(closing)
            first, last = place - bool(before), place + 1 + bool(behind)
            parent[first:last] = [nodes.Text(rest), group, nodes.Text(then)]
            group += [nodes.Text(opening), formula, nodes.Text(closing)]


def text_at(parent: nodes.Element, place: int) -> str:
    """Returns the text at a place among the children; empty if another node or none is there."""
    found = parent[place] if 0 <= place < len(parent) else None
    return str(found) if isinstance(found, nodes.Text) else ""


def with_breaks(formula: str) -> str:
    """Returns a formula's HTML that can be broken between its pieces where nothing else can."""
    start, first, *pieces = formula.split(PIECE)
    return PIECE.join([start, f"<wbr>{PIECE}".join([first, *pieces])])


def setup(app: Sphinx) -> ExtensionMetadata:
    """Registers the renderer, for `html_math_renderer = "katex"`."""
    formulas = Formulas()
    app.add_html_math_renderer("katex", (formulas.inline, None), (formulas.block, None))
    app.connect("build-finished", formulas.close)
    app.connect("doctree-resolved", keep_marks, priority=900)  # when all text is cut
    app.add_css_file("katex/katex.min.css")
    return {"parallel_read_safe": True, "parallel_write_safe": False}
