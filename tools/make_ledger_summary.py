"""Makes kerasbook/ledger/results.json, and the summary in docs/proofs.md from it.

    python tools/make_ledger_summary.py                          # a few minutes
    python tools/make_ledger_summary.py VERIFIED.json MUTANTS.json

The second form takes what `kerasbook verify --json` and `kerasbook verify --mutants --json` wrote.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from kerasbook import contents
from kerasbook.files import atomic_path

from make_results import ROOT, replace_in

RESULTS = ROOT / "kerasbook" / "ledger" / "results.json"


def run(*flags: str) -> dict:
    """Returns what `kerasbook verify` writes."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ledger.json"
        command = [sys.executable, "-m", "kerasbook", "verify", *flags, "--json", str(file)]
        subprocess.run(command, check=True)
        return json.loads(file.read_text())


def summary(rows: list[dict], mutants: dict) -> dict:
    """Returns the figures of each chapter: claims, largest relative differences, mutants."""
    found = {}
    for row in rows:
        chapter = found.setdefault(row["chapter"], {"claims": 0, "green": 0})
        chapter["claims"] += 1
        chapter["green"] += bool(row["green"])
        for dtype in ("float32", "float64"):
            for kind, worst in row.get(dtype, {}).items():
                name = "slopes" if kind == "slopes" else dtype
                chapter[name] = max(chapter.get(name, 0.0), worst["relative"])
    return {chapter: figures | mutants[chapter] for chapter, figures in found.items()}


def table(results: dict) -> str:
    """The summary in Markdown: a line per chapter, the loop last."""
    lines = [
        "| chapter | claims that hold | largest difference, 32 bits | 64 bits | slopes "
        "| planted mistakes seen |",
        "|---|---|---|---|---|---|",
    ]
    for key in sorted(results, key=contents.place_of):
        row = results[key]
        title = "the loop" if key == contents.LOOP else contents.find(key).short_title
        cells = [title, f"{row['green']} of {row['claims']}"]
        kinds = ("float32", "float64", "slopes")
        cells += [f"{row[kind]:.0e}" if kind in row else "–" for kind in kinds]
        cells.append(f"{row['caught']} of {row['planted']}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """The command."""
    if len(sys.argv) == 3:
        verified, mutants = (json.loads(Path(name).read_text()) for name in sys.argv[1:])
    else:
        verified, mutants = run(), run("--mutants")
    results = summary(verified["rows"], mutants["chapters"])
    with atomic_path(RESULTS) as temporary:
        temporary.write_text(json.dumps(results, indent=1) + "\n")
    replace_in("docs/proofs.md", "ledger", table(results))


if __name__ == "__main__":
    main()
