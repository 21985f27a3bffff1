"""Exercism: results.json, version 3, from a record.

The format is that of "The Test Runner Interface", <https://exercism.org/docs/building/tooling>.
"""

from __future__ import annotations

import json

from kerasbook.grading.exports import text_of

LONGEST_MESSAGE, LONGEST_OUTPUT, LARGEST = 65_535, 500, 500_000
CUT = "\nOutput was truncated. Please limit to 500 chars"


def results(record: dict) -> str:
    """Returns the text of results.json: a test for each question, "error" where nothing was
    compared.
    """
    for most in (LONGEST_MESSAGE, 2_000, 200, 0):
        tests = [
            as_test(number, name, outcome, most)
            for number, (name, outcome) in enumerate(record["questions"].items(), 1)
        ]
        passed = all(test["status"] == "pass" for test in tests)
        whole = {"version": 3, "status": "pass" if passed else "fail", "tests": tests}
        text = json.dumps(whole, indent=1) + "\n"
        if len(text) <= LARGEST:
            break
    return text


def as_test(number: int, name: str, outcome: dict, most: int) -> dict:
    """Returns one question; its message has at most `most` characters."""
    status = outcome["status"] if outcome["status"] in ("pass", "fail") else "error"
    test = {"name": name, "status": status, "task_id": number, "test_code": f"check({name})"}
    if status != "pass":
        test["message"] = text_of(outcome)[:most] or outcome["status"]
    if output := outcome["output"]:
        if len(output) > LONGEST_OUTPUT:
            output = output[: LONGEST_OUTPUT - len(CUT)] + CUT
        test["output"] = output
    return test
