"""Joins what tools/gpu_check.sh has found: its tests (XML) and the bench (JSON), into one JSON."""

import json
import sys
from pathlib import Path
from xml.etree import ElementTree


def tests_of(file: Path) -> dict:
    """Returns how many tests passed and were skipped, and the first line of each failure."""
    cases = list(ElementTree.parse(file).iter("testcase"))
    found = {case.get("name"): [c for c in case if c.tag in ("failure", "error")] for case in cases}
    skipped = sum(case.find("skipped") is not None for case in cases)
    failed = {
        name: (each[0].get("message") or "").partition("\n")[0]
        for name, each in found.items()
        if each
    }
    return {
        "passed": len(cases) - len(failed) - skipped,
        "skipped": skipped,
        "failed": failed,
    }


def join(tests: Path, bench: Path) -> dict:
    """Returns both as one; None stands for what is not there."""
    return {
        "tests": tests_of(tests) if tests.exists() else None,
        "bench": json.loads(bench.read_text()) if bench.exists() else None,
    }


if __name__ == "__main__":
    *files, out = map(Path, sys.argv[1:])
    found = join(*files)
    out.write_text(json.dumps(found, indent=1) + "\n")
    print(f"{out}: tests {found['tests']}")
