"""What Sphinx is told: the site's configuration."""

import re
from pathlib import Path

from kerasbook import __version__

project = "kerasbook"
author = copyright = "The kerasbook authors"
version = release = __version__
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "kerasbook.web.code",
    "kerasbook.web.formulas",
    "kerasbook.web.glossary",
    "kerasbook.web.languages",
    "kerasbook.web.links",
]
myst_enable_extensions = ["dollarmath", "deflist", "colon_fence"]
myst_heading_anchors = 4
nb_execution_mode = "off"
nb_render_markdown_format = "myst"
nb_merge_streams = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_use_rtype = False
exclude_patterns = ["extra"]
suppress_warnings = ["myst.header"]  # the first heading of a cell may be any

html_theme = "furo"
html_title = "kerasbook"
html_sidebars = {
    "_modules/**": ["sidebar/brand.html", "sidebar/search.html"],  # 40 pages of source, reached
    "[!_]**": [  # from the reference: the list of all pages would be a third of them
        "sidebar/brand.html",
        "languages.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ],
}
templates_path = ["templates"]
locale_dirs = ["locale"]  # of the Chinese sources: what furo says
html_static_path = ["static"]
html_extra_path: list[str] = []  # sources.py's folder `extra`, set by the command
html_css_files = ["book.css", "playgrounds/playground.css"]
html_js_files = ["book.js"]
html_search_scorer = str(Path(__file__).with_name("scorer.js"))
html_math_renderer = "katex"
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"top_of_page_buttons": []}
copybutton_exclude = ".linenos, .gp, .go"
default_role = "literal"  # docstrings have Markdown's single backticks


def plain_text(app, what, name, thing, options, lines: list[str]) -> None:
    """Takes a docstring for what it is: text with Markdown's backticks, not reStructuredText.

    What stands indented in a module's docstring is code.
    """
    code, result = False, []
    for line in lines:
        if line.strip() and what == "module":
            if line.startswith("    ") and not code:
                result += ["::", ""]
            code = line.startswith("    ")
        result.append(line if code or line.lstrip().startswith(">>>") else escaped(line))
    lines[:] = result


def escaped(line: str) -> str:
    """Returns a line whose stars, bars and last underscores mean nothing, but between backticks."""
    parts = line.split("`")
    parts[::2] = [re.sub(r"([*|\\]|(?<=\w)_(?!\w))", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


def setup(app) -> None:
    """Registers what is done with docstrings."""
    app.connect("autodoc-process-docstring", plain_text, priority=400)  # before napoleon
