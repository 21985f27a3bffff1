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
END = "</span></span>"  # of a formula, behind its last piece
OPENING = ("（", "《", "“", "‘")


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
        translator.body.append(with_unbroken_end(self.render(node.astext(), display=False)))
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


def with_unbroken_end(formula: str) -> str:
    """Returns a formula's HTML whose last piece stays on the line of a mark behind it."""
    start, piece, last = formula.rpartition(PIECE)
    return f'{start}<span class="unbroken">{piece}{last.removesuffix(END)}</span>{END}'


def keep_opening_marks(app: Sphinx, document: nodes.document, name: str) -> None:
    """Keeps a bracket or quotation mark on the line of the formula that it opens."""
    for formula in list(document.findall(nodes.math)):
        place = formula.parent.index(formula)
        before = formula.parent[place - 1] if place else None
        if isinstance(before, nodes.Text) and before.endswith(OPENING):
            mark = nodes.inline("", before[-1], classes=["unbroken"])
            formula.parent[place - 1 : place] = [nodes.Text(before[:-1]), mark]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Registers the renderer, for `html_math_renderer = "katex"`."""
    formulas = Formulas()
    app.add_html_math_renderer("katex", (formulas.inline, None), (formulas.block, None))
    app.connect("build-finished", formulas.close)
    app.connect("doctree-resolved", keep_opening_marks, priority=900)  # when the text is cut
    app.add_css_file("katex/katex.min.css")
    return {"parallel_read_safe": True, "parallel_write_safe": False}
