"""Prints the lowest version that pyproject.toml allows of each library, as constraints for pip."""

import re
import tomllib
from pathlib import Path


def lowest(project: dict) -> dict[str, str]:
    """Returns name → version of all that is asked for with `>=`, the extras but `gpu` included."""
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *extras["notebook"], *extras["dev"]]
    found = [re.match(r"([\w.-]+)(?:\[[\w,-]+\])?>=([\w.]+)", line) for line in lines]
    return {match[1]: match[2] for match in found if match}


if __name__ == "__main__":
    file = Path(__file__).parent.parent / "pyproject.toml"
    project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
    print("\n".join(f"{name}=={version}" for name, version in sorted(lowest(project).items())))
