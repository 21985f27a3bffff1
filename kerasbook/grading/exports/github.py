"""GitHub Classroom: an action that grades a repository, and the line with its result.

The result is that of `classroom-resources/autograding-*-grader`, version 3, as
`autograding-grading-reporter` reads it.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

from kerasbook.exercises.exercise import Exercise
from kerasbook.grading.exports import constraints, points_of, text_of, to_grade, to_install

ACTION = """\
name: kerasbook
description: Grade the exercises in this repository with kerasbook.
inputs:
  key:
    description: The teacher's secret, at least 16 characters; hidden cases are drawn from it.
    required: true
outputs:
  result:
    description: For classroom-resources/autograding-grading-reporter.
    value: ${{ steps.grade.outputs.result }}
runs:
  using: composite
  steps:
    - uses: actions/setup-python@v5
      with:
        python-version: "3.12"
    - id: grade
      shell: bash
      env:
        KERASBOOK_KEY: ${{ inputs.key }}
      run: '"$GITHUB_ACTION_PATH/grade.sh"'
"""

GRADE = """\
#!/usr/bin/env bash
# Grades the repository and hands over exactly one result, also when something fails.
set -uo pipefail
umask 077
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '%s\\n' "$KERASBOOK_KEY" > "$work/key"
unset KERASBOOK_KEY
kerasbook=${KERASBOOK:-$work/environment/bin/kerasbook}
prepare() {
    [ -x "$kerasbook" ] && return
    python -m venv "$work/environment" &&
        "$work/environment/bin/python" -m pip install -q -c constraints.txt '@INSTALL@'
}
prepare &&
    "$kerasbook" grade "$GITHUB_WORKSPACE" --one --out "$work/out" --key "$work/key" \\
        --require-isolation @LEVEL@ @FLAGS@ &&
    line=$("$kerasbook" export github-result "$work"/out/records/*.json)
status=$?
[ $status = 0 ] || line='result=@FAILED@'
printf '%s\\n' "$line" >> "$GITHUB_OUTPUT"
exit $status
"""

WORKFLOW = """\
# .github/workflows/classroom.yml of the learners' repositories.
# OWNER/REPOSITORY@COMMIT is where this folder's action.yml lies, pinned by a full commit hash.
name: Autograding Tests
on: [push, workflow_dispatch]
permissions:
  checks: write
  actions: read
  contents: read
jobs:
  run-autograding-tests:
    runs-on: ubuntu-latest
    timeout-minutes: 30
    steps:
      - uses: actions/checkout@v4
        with:
          persist-credentials: false
      - id: kerasbook
        uses: OWNER/REPOSITORY@COMMIT
        with:
          key: ${{ secrets.KERASBOOK_KEY }}
      - if: always()
        uses: classroom-resources/autograding-grading-reporter@v1
        env:
          KERASBOOK_RESULTS: ${{ steps.kerasbook.outputs.result }}
        with:
          runners: kerasbook
"""


def action(
    exercises: dict[str, Exercise], install: str, own: Path | None = None, level: int = 2
) -> dict[str, str | bytes]:
    """Returns the action's files, name → content; the arguments are those of the Gradescope
    autograder.
    """
    files, requirement = to_install(install)
    own_files, flags = to_grade(exercises, own)
    script = GRADE.replace("@INSTALL@", requirement).replace("@LEVEL@", str(level))
    failed = encoded(failed_result({name: one.points for name, one in exercises.items()}))
    script = script.replace("@FLAGS@", flags).replace("@FAILED@", failed)
    return {
        **files,
        **own_files,
        "action.yml": ACTION,
        "grade.sh": script,
        "constraints.txt": constraints(),
        "example/classroom.yml": WORKFLOW,
    }


def result(record: dict) -> dict:
    """Returns what the reporter reads: a test for each question."""
    return whole(
        {
            "name": name,
            "status": outcome["status"] if outcome["status"] in ("pass", "fail") else "error",
            "message": text_of(outcome),
            "score": points_of(outcome),
        }
        for name, outcome in record["questions"].items()
    ) | {"max_score": sum(outcome["max_points"] for outcome in record["questions"].values())}


def failed_result(points: dict[str, float]) -> dict:
    """Returns the result where the grader itself failed: an error for each question, name → most
    points.
    """
    message = "the grader failed, which is no fault of yours; see the log of this step"
    return whole(
        {"name": name, "status": "error", "message": message, "score": 0.0} for name in points
    ) | {"max_score": sum(points.values())}


def whole(tests) -> dict:
    """Returns a result of version 3 with the fields that the reporter expects of each test."""
    tests = [
        {"test_code": "", "task_id": 0, "filename": "", "line_no": 0, "duration": 0} | test
        for test in tests
    ]
    statuses = {test["status"] for test in tests}
    status = next(one for one in ("error", "fail", "pass") if one in statuses)
    return {"version": 3, "status": status, "tests": tests}


def encoded(result: dict) -> str:
    """Returns a result in base64, so that no learner's text reaches the log or the commands."""
    return base64.b64encode(json.dumps(result).encode()).decode()
