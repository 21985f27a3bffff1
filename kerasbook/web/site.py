"""Builds the site, and serves it."""

from __future__ import annotations

import functools
import http.server
import shutil
import tempfile
from pathlib import Path

from kerasbook.machine import with_extra
from kerasbook.program import UserError

HERE = Path(__file__).parent


class SiteError(UserError):
    """The site cannot be built or served; the message has the remedy."""

    status = 1


def build(checkout: Path, output: Path) -> int:
    """Makes the site of a checkout's notebooks in the folder `output`; returns its pages' number.

    Raises:
        SiteError: this is no checkout, a library is missing, the folder holds something else, or
            Sphinx has a warning: a link that leads nowhere, a formula that KaTeX refuses.
    """
    if not (checkout / "chapters" / "chapter1.ipynb").is_file():
        raise SiteError("there is no chapters/chapter1.ipynb: run it in a checkout of kerasbook")
    if output.exists() and any(output.iterdir()) and not (output / "searchindex.js").is_file():
        raise SiteError(f"{output} holds something else: choose an empty folder with --output")
    try:
        from kerasbook.web.sources import write_sources

        from sphinx.cmd.build import build_main
    except ImportError:
        raise SiteError(f"Sphinx is not installed: {with_extra('web')}") from None
    shutil.rmtree(output, ignore_errors=True)  # pages and pictures of the last build
    with tempfile.TemporaryDirectory() as folder:
        sources = Path(folder, "sources")
        write_sources(checkout, sources)
        where = [str(sources), str(output)]
        options = ["-q", "-E", "-W", "--keep-going", "-c", str(HERE), "-d", f"{folder}/doctrees"]
        options += ["-D", f"html_extra_path={sources / 'extra'}"]
        if build_main([*options, *where]):
            raise SiteError("the site has faults: see the lines above")
    return len(list(output.rglob("*.html")))


def serve(folder: Path, port: int) -> None:
    """Shows the folder to this machine alone, until Ctrl-C.

    Raises:
        SiteError: there is no site in the folder.
    """
    if not (folder / "index.html").is_file():
        raise SiteError(f"there is no site in {folder}: `kerasbook web build` makes one")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        print(f"http://127.0.0.1:{server.server_port}/ shows {folder}; Ctrl-C ends it", flush=True)
        server.serve_forever()
