"""What was passed so far, and which hints were seen; imports nothing heavy."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kerasbook.exercises.cards import Card
from kerasbook.files import atomic_path, set_aside
from kerasbook.program import UserError

if TYPE_CHECKING:
    from kerasbook.grading.question import QuestionResult

STATE = ".kerasbook.json"


class LearnerError(UserError):
    """What a learner asked for cannot be done; the message has the remedy."""


@dataclass
class Progress:
    """Per exercise: times checked, best points, hints seen, whether passed; kept in a file."""

    path: Path
    entries: dict[str, dict] = field(default_factory=dict)

    @classmethod
    def of(cls, place: Path) -> Progress:
        """Returns the progress kept in the folder of a file, or in one above; else a new one."""
        place = place.resolve()
        folder = place if place.is_dir() else place.parent
        found = next(
            (one / STATE for one in (folder, *folder.parents) if (one / STATE).is_file()), None
        )
        if not found:
            return cls(folder / STATE)
        try:
            entries = json.loads(found.read_text(encoding="utf-8"))
            if not all(isinstance(entry, dict) for entry in entries.values()):
                raise ValueError("an entry is no dictionary")
        except (ValueError, AttributeError):
            set_aside(found, "damaged")
            return cls(found)
        return cls(found, entries)

    def entry(self, name: str) -> dict:
        """Returns the entry of an exercise, made if need be."""
        new = {"checked": 0, "points": 0.0, "hints": 0, "passed": False, "gave_up": False}
        return self.entries.setdefault(name, new)

    def note(self, result: QuestionResult) -> None:
        """Counts a check."""
        entry = self.entry(result.name)
        entry["checked"] += 1
        entry["points"] = max(entry["points"], result.points)
        entry["passed"] = entry["passed"] or result.status == "pass"

    def save(self) -> None:
        """Writes the file, whole or not at all."""
        with atomic_path(self.path) as temporary:
            temporary.write_text(json.dumps(self.entries, indent=1) + "\n", encoding="utf-8")

    def passed(self, exercises: Iterable[Card]) -> int:
        """Returns how many of the exercises were passed."""
        return sum(bool(self.entries.get(one.name, {}).get("passed")) for one in exercises)


def next_hint(exercise: Card, progress: Progress) -> tuple[int, str]:
    """Returns the number and text of the next hint; after the last, the last again."""
    entry = progress.entry(exercise.name)
    entry["hints"] = min(entry["hints"] + 1, len(exercise.hints))
    progress.save()
    return entry["hints"], exercise.hints[entry["hints"] - 1]
