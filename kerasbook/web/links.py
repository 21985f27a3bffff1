"""Names of Keras, TensorFlow and NumPy in the text link to their documentation.

The addresses are made from the names, and only for names that the installed libraries have, so
that nothing is downloaded during the build.
"""

from __future__ import annotations

import functools
import importlib
import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

TENSORFLOW = "https://www.tensorflow.org/api_docs/python/tf"
NUMPY = "https://numpy.org/doc/stable/reference/generated/numpy"
NAME = re.compile(r"(keras|tf|np|numpy|tensorflow)\.([A-Za-z]\w*(?:\.[A-Za-z]\w*)*)(?:\(.*\))?")
LIBRARIES = {"keras": "keras", "tf": "tensorflow", "np": "numpy"}
SHORT = {"model.fit": "keras.Model.fit", "model.evaluate": "keras.Model.evaluate"}
SHORT |= {"GradientTape": "tf.GradientTape"}


@functools.cache
def address_of(text: str) -> str:
    """Returns where a name is documented; empty for what is no name of the three libraries.

    >>> address_of("np.where")
    'https://numpy.org/doc/stable/reference/generated/numpy.where.html'
    >>> address_of("np.no_such_thing")
    ''
    """
    match = NAME.fullmatch(SHORT.get(text, text))
    if not match:
        return ""
    library = {"numpy": "np", "tensorflow": "tf"}.get(match[1], match[1])
    if not exists(LIBRARIES[library], match[2]):
        return ""
    if library == "np":
        return f"{NUMPY}.{match[2]}.html"
    parts = ["keras", *match[2].split(".")] if library == "keras" else match[2].split(".")
    owner, name = "/".join(parts[:-1]), parts[-1]
    if owner[-1:] and parts[-2][0].isupper():  # a method stands on its class's page
        return f"{TENSORFLOW}/{owner}#{name}"
    return f"{TENSORFLOW}/{'/'.join(parts)}"


def exists(library: str, name: str) -> bool:
    """Returns whether the installed library has a function or class of this name."""
    thing = importlib.import_module(library)
    for part in name.split("."):
        if not hasattr(thing, part):
            return False
        thing = getattr(thing, part)
    return callable(thing)


def link_names(app: Sphinx, doctree: nodes.document, name: str) -> None:
    """Makes links of the names in a page's text."""
    for literal in list(doctree.findall(nodes.literal)):
        inside = isinstance(literal.parent, nodes.reference | nodes.title)
        if not inside and (address := address_of(literal.astext())):
            reference = nodes.reference("", "", refuri=address, internal=False)
            literal.replace_self(reference)
            reference += literal


def setup(app: Sphinx) -> ExtensionMetadata:
    """Registers it."""
    app.connect("doctree-resolved", link_names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
