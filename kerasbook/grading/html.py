"""A learner's feedback as a page that does nothing: no script, no link, no outside resource."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from kerasbook.grading.question import STATUSES
from kerasbook.grading.text import cut

STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:46em;margin:2em auto;padding:0 1em;color:#222}"
    "pre{background:#f4f4f4;padding:.6em;white-space:pre-wrap;overflow-wrap:anywhere}"
    "h2{margin-top:2em;border-top:1px solid #ccc;padding-top:1em}"
    ".pass{color:#196c2e}.other{color:#a3211b}td{padding:.1em 1em .1em 0}"
)

ABOUT = {"handed_in": "handed in", "kerasbook": "kerasbook", "isolation_level": "isolation level"}


def feedback_page(record: dict, titles: Mapping[str, str]) -> str:
    """Returns the page: points, and what failed of every question; hidden cases are counted."""
    sections = "".join(
        _question(name, outcome, titles[name]) for name, outcome in record["questions"].items()
    )
    notes = "".join(f"<li>{shown(note)}</li>" for note in record["notes"])
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">"
        f"<title>{shown(record['learner'])}</title><style>{STYLE}</style></head><body>"
        f"<h1>{shown(record['learner'])}: {record['points']:g} of {record['max_points']:g}</h1>"
        + _about(record)
        + (f"<p>What was noted when it was taken in:</p><ul>{notes}</ul>" if notes else "")
        + f"{sections}</body></html>\n"
    )


def _about(record: dict) -> str:
    """What the page is about: assignment, day, version, isolation."""
    words = [record.get("assignment", "")]
    words += [f"{name} {record[key]}" for key, name in ABOUT.items() if key in record]
    return f"<p>{shown(' · '.join(word for word in words if word))}</p>"


def shown(text: str) -> str:
    """Returns text that a browser shows and does not obey."""
    return escape(cut(text))


def _case(case: dict, said: str) -> str:
    """A public case that was not passed: its output, its inputs, and what was not said before."""
    inputs, message = case.get("inputs", ""), case.get("message", "")
    if not message or (message == said and not inputs):
        return ""
    output = f", output {case['output']}" if case.get("output") else ""
    text = f"<p>{shown(case['name'] + output)}:</p>"
    text += f"<p>Inputs:</p><pre>{shown(inputs)}</pre>" if inputs else ""
    return text + (f"<pre>{shown(message)}</pre>" if message != said else "")


def _question(name: str, outcome: dict, title: str) -> str:
    passed = outcome["status"] == "pass"
    points = "not graded" if outcome["points"] is None else f"{outcome['points']:g}"
    word = STATUSES[outcome["status"]]
    text = f"<h2>{shown(title)}</h2><p><code>{shown(name)}</code>: "
    text += f'<b class="{"pass" if passed else "other"}">{shown(word)}</b>, '
    text += f"{points} of {outcome['max_points']:g} points</p>"
    if outcome["message"]:
        text += f"<pre>{shown(outcome['message'])}</pre>"
    for which in ("public", "hidden"):
        cases = [one for one in outcome["cases"] if one["which"] == which]
        right = sum(one["status"] == "pass" for one in cases)
        if cases:
            text += f"<p>{right} of {len(cases)} {which} cases passed</p>"
    text += "".join(_case(case, outcome["message"]) for case in outcome["cases"])
    if outcome["output"].strip():
        text += f"<p>Printed:</p><pre>{shown(outcome['output'])}</pre>"
    return text
