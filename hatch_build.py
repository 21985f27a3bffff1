"""The readme and the addresses of the package, made from REPOSITORY once that is set."""

import re
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface

ROOT = Path(__file__).parent
LINK = re.compile(r"(?P<picture>!?)(?P<text>\[[^\]]*\])\((?!https?:|#|mailto:)(?P<path>[^)\s]+)\)")


def repository() -> str:
    """Returns REPOSITORY of kerasbook.notebooks.conversion, without importing it."""
    source = ROOT / "kerasbook" / "notebooks" / "conversion.py"
    match = re.search(r'^REPOSITORY = "(.*)"$', source.read_text(encoding="utf-8"), re.MULTILINE)
    assert match
    return match[1]


def with_absolute_links(text: str, address: str) -> str:
    """Returns Markdown whose links lead into the repository, from wherever it is read."""

    def absolute(link: re.Match) -> str:
        kind = "raw" if link["picture"] else "blob"
        return f"{link['picture']}{link['text']}({address}/{kind}/main/{link['path']})"

    return LINK.sub(absolute, text) if address else text


class Metadata(MetadataHookInterface):
    """What hatch asks for."""

    def update(self, metadata: dict) -> None:
        """Puts readme and addresses into the package's metadata."""
        address = repository()
        text = with_absolute_links((ROOT / "README.md").read_text(encoding="utf-8"), address)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
        if address:
            metadata["urls"] = {
                "Source": address,
                "Issues": f"{address}/issues",
                "Changelog": f"{address}/blob/main/CHANGELOG.md",
                "Security": f"{address}/security/policy",
            }
