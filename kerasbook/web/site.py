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
CHINESE = {"language": "zh_CN", "html_use_index": "0", "html_domain_indices": "0"}
CHINESE |= {"nb_code_prompt_show": "显示代码", "nb_code_prompt_hide": "收起代码"}


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
        from kerasbook.web import chinese, sources
    except ImportError:
        raise SiteError(f"Sphinx is not installed: {with_extra('web')}") from None
    translated = chinese.documents(checkout)
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder, "site")  # what Sphinx leaves beside it goes with the folder
        both = {"heading_ids": f"{folder}/ids.json", "chinese_pages": ",".join(translated)}
        sources.write_sources(checkout, Path(folder, "en"))
        run_sphinx(Path(folder, "en"), site, both)
        if translated:
            chinese.write_sources(checkout, Path(folder, "zh"))
            run_sphinx(Path(folder, "zh"), Path(folder, "zh-site"), both | CHINESE)
            shutil.move(Path(folder, "zh-site"), site / "zh")
        shutil.rmtree(output, ignore_errors=True)  # the last build
        shutil.move(site, output)
    return len(list(output.rglob("*.html")))


def run_sphinx(sources: Path, output: Path, settings: dict[str, str]) -> None:
    """Makes one site of a folder of sources.

    Raises:
        SiteError: Sphinx has a warning.
    """
    from sphinx.cmd.build import build_main

    where = [str(sources), str(output)]
    options = ["-q", "-E", "-W", "--keep-going", "-c", str(HERE), "-d", f"{sources}-doctrees"]
    for name, value in {"html_extra_path": sources / "extra", **settings}.items():
        options += ["-D", f"{name}={value}"]
    if build_main([*options, *where]):
        raise SiteError("the site has faults: see the lines above")
    for path in output.glob("_static/**/*.map"):
        path.unlink()  # for the theme's developers


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
