"""Writes the figures of the selfcheck into docs/proofs.md.

kerasbook exercises selfcheck --json runs/selfcheck.json
python tools/make_exercise_summary.py runs/selfcheck.json
"""

import json
import sys
from pathlib import Path

from kerasbook.learner.selfcheck import Counts

from make_results import replace_in


def main():
    """Replace what stands between the marks."""
    counts = Counts(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    if counts.problems:
        sys.exit("the selfcheck found problems: " + "; ".join(counts.problems))
    replace_in("docs/proofs.md", "exercises", f"{counts}.")


if __name__ == "__main__":
    main()
