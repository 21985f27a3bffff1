"""The book as a web site: `kerasbook web build`, made by Sphinx from the committed notebooks.

    sources.py    writes the folder that Sphinx reads: notebooks, exercises, docs, front page
    conf.py       what Sphinx is told; formulas.py, glossary.py, links.py, code.py extend it
    playgrounds/  pages with models in JavaScript (playgrounds.py, static/playgrounds, weights/)
    reference/    the pages of the API reference
    static/       style, script, KaTeX's style and fonts; katex/ is what runs during the build
    site.py       builds and serves

Nothing is executed, and no page asks for anything outside the site: it can be read from a folder.
"""
