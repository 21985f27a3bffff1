"""Gradescope: the autograder's zip, and results.json from a record.

The format is that of the autograder specification, <https://gradescope-autograders.readthedocs.io>.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

from kerasbook.exercises.exercise import Exercise
from kerasbook.grading.exports import (
    ExportError,
    constraints,
    points_of,
    text_of,
    to_grade,
    to_install,
)

SETUP = """\
#!/usr/bin/env bash
# Runs once, when the image is built: installs kerasbook in an environment of its own.
set -euo pipefail
cd "$(dirname "$0")"
apt-get update
python=""
for one in python3.13 python3.12 python3.11; do
    if apt-get install -y "$one" "$one-venv"; then python=$one; break; fi
done
[ -n "$python" ] || { echo "no Python 3.11 to 3.13 here: choose a newer base image"; exit 1; }
"$python" -m venv /opt/kerasbook
/opt/kerasbook/bin/python -m pip install -c constraints.txt '@INSTALL@'
chmod -R go-rwx .
"""

RUN = """\
#!/usr/bin/env bash
# Runs for each submission. If it fails, it leaves no results.json: then Gradescope says that the
# autograder failed, and nobody gets a 0 for a fault of the grader.
set -euo pipefail
umask 077
root=${AUTOGRADER_ROOT:-/autograder}
kerasbook=${KERASBOOK:-/opt/kerasbook/bin/kerasbook}
cd "$root/source"
out=$(mktemp -d)  # no submission's process can read it or write there
trap 'rm -rf "$out"' EXIT
"$kerasbook" grade "$root/submission" --one --out "$out" --key key \\
    --require-isolation @LEVEL@ @FLAGS@
"$kerasbook" export gradescope-results "$out"/records/*.json "$out/results.json"
mkdir -p "$root/results"
cat "$out/results.json" > "$root/results/results.json"
"""


def autograder(
    exercises: dict[str, Exercise],
    key: bytes,
    install: str,
    own: Path | None = None,
    level: int = 2,
) -> bytes:
    """Returns the zip to upload: setup.sh, run_autograder, key, versions, the teacher's own
    exercises.

    Args:
        exercises: the questions.
        key: the teacher's secret.
        install: a wheel's path or a pinned requirement.
        own: folder of the teacher's own exercises.
        level: of isolation, below which nothing is graded.

    Raises:
        ExportError: `install` is neither.
    """
    files, requirement = to_install(install)
    own_files, flags = to_grade(exercises, own)
    files |= own_files
    files["setup.sh"] = SETUP.replace("@INSTALL@", requirement).encode()
    files["run_autograder"] = RUN.replace("@LEVEL@", str(level)).replace("@FLAGS@", flags).encode()
    files["key"] = key + b"\n"
    files["constraints.txt"] = constraints().encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name)
            entry.create_system = 3  # Unix: the mode below counts
            entry.external_attr = (0o755 if name in ("setup.sh", "run_autograder") else 0o600) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return packed.getvalue()


def results(record: dict) -> str:
    """Returns the text of results.json: an entry for each question.

    Raises:
        ExportError: the grader failed on this submission, so that there is no result.
    """
    if record.get("to_retry", record["needs_attention"]):  # not where it is only unreadable
        raise ExportError(f"the grader failed on {record['learner']}: grade it again")
    tests = [
        {
            "number": str(number),
            "name": name,
            "name_format": "text",
            "score": points_of(outcome),
            "max_score": outcome["max_points"],
            "status": "passed" if outcome["status"] == "pass" else "failed",
            "output": text_of(outcome),
            "output_format": "text",
            "visibility": "visible",
        }
        for number, (name, outcome) in enumerate(record["questions"].items(), 1)
    ]
    whole = {
        "output": "\n".join(record["notes"]),
        "output_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": tests,
        "extra_data": {
            "kerasbook": record["kerasbook"],
            "isolation_level": record["isolation_level"],
        },
    }
    return json.dumps(whole, indent=1) + "\n"
