"""What a release carries: version, licences, addresses."""

import importlib.util
import re
import tomllib
from pathlib import Path

import kerasbook
from kerasbook.contents import PACKAGE, load_results
from kerasbook.notebooks.conversion import REPOSITORY

import pytest

ROOT = PACKAGE.parent


def module(path):
    """Returns a module that is in no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_the_version_is_one():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    version = re.search(r"^## (\S+) \(\d{4}-\d\d-\d\d\)", changelog, re.MULTILINE)[1]
    assert version == kerasbook.__version__
    assert f"version: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert "**Compatibility.**" in changelog


def test_the_notice_names_every_licence_in_the_wheel():
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    files = {path.stem for path in (PACKAGE / "data" / "files").glob("*.license")}
    named = set(re.findall(r"^(\w+)  +\S", notice, re.MULTILINE)) - {"file", "KaTeX"}
    assert named == files
    for path in (PACKAGE / "data" / "files").glob("*.license"):
        text = path.read_text(encoding="utf-8")
        assert "confirmed" not in text, path.name
        for doi in re.findall(r"doi.org/(10.24432/\w+)", text):  # of UCI: with its own licence
            assert "Attribution 4.0" in text, path.name
            assert "archive.ics.uci.edu/dataset/" in text, path.name
            assert doi in notice, path.name
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {"LICENSE", "NOTICE"} <= set(project["license-files"])
    for path in (path.relative_to(ROOT).as_posix() for path in PACKAGE.rglob("LICENSE*")):
        assert path in notice
        assert path in project["license-files"]
    assert "Open Font License" in notice or not list(PACKAGE.rglob("*.woff2"))


def test_links_of_the_readme_are_absolute_once_there_is_a_repository():
    hook = module(ROOT / "hatch_build.py")
    assert hook.repository() == REPOSITORY
    text = "![A](docs/a.png) [b](b.md) [c](https://c.org) [d](#d)"
    assert hook.with_absolute_links(text, "") == text
    assert hook.with_absolute_links(text, "https://x.org/k") == (
        "![A](https://x.org/k/raw/main/docs/a.png) [b](https://x.org/k/blob/main/b.md) "
        "[c](https://c.org) [d](#d)"
    )


def documents() -> list[Path]:
    return [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "chapters" / "README.md"]


def headings(path: Path) -> set[str]:
    """The addresses of a document's headings, as GitHub makes them."""
    text = path.read_text(encoding="utf-8")
    found = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in found}


@pytest.mark.parametrize("document", documents(), ids=lambda path: path.name)
def test_every_link_of_a_document_leads_somewhere(document):
    links = re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", document.read_text(encoding="utf-8"))
    for path, _, heading in (link.partition("#") for link in links):
        target = document.parent / path if path else document
        assert target.exists(), path
        assert not heading or heading in headings(target), f"{path}#{heading}"


def test_every_chapter_of_the_readme_is_linked_as_notebook_and_as_source():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.partition("<!-- results")[2].partition("<!-- end")[0].splitlines()[3:]
    assert len(table) >= 12
    for row in table:
        assert re.match(
            r"\| \[[^]]+\]\(chapters/\w+\.ipynb\) \| \[source\]\(kerasbook/\w+\.py\)", row
        )


def test_the_environment_behind_the_results_is_the_one_that_made_them():
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)$", text, re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for line in project["dependencies"]:
        name = re.match(r"[\w.-]+", line)[0].replace("_", "-").lower()
        assert name in pinned, name
    entries = [entry for page in load_results().values() for entry in page.values()]
    for versions in (entry["versions"] for entry in entries if "versions" in entry):
        assert {name: pinned[name] for name in ("tensorflow", "keras", "numpy")} == {
            name: versions[name] for name in ("tensorflow", "keras", "numpy")
        }


@pytest.mark.parametrize(
    "line", ["rich>=13,<16", "jupyterlab>=4", "tensorflow[and-cuda]>=2.21,<2.22"]
)
def test_the_lowest_version_is_read(line):
    lowest = module(ROOT / "tools" / "lowest_versions.py").lowest
    project = {"dependencies": [line], "optional-dependencies": {"notebook": [], "dev": []}}
    name, version = re.match(r"(\w+).*?>=([\d.]+)", line).groups()
    assert lowest(project) == {name: version}
