"""Writes the figures of the selfcheck into the README.

kerasbook exercises selfcheck --json runs/selfcheck.json
python tools/make_exercise_summary.py runs/selfcheck.json
"""

import json
import re
import sys
from pathlib import Path

from kerasbook.learner.selfcheck import Counts

README = Path(__file__).parent.parent / "README.md"
MARKED = re.compile(r"(<!-- exercises: .*? -->\n).*?(<!-- end of exercises -->)", re.DOTALL)


def main():
    """Replace what stands between the marks."""
    counts = Counts(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    if counts.problems:
        sys.exit("the selfcheck found problems: " + "; ".join(counts.problems))
    text = README.read_text(encoding="utf-8")
    README.write_text(MARKED.sub(rf"\g<1>{counts}.\n\g<2>", text), encoding="utf-8")


if __name__ == "__main__":
    main()
