"""A learner's side of the exercises: start, check, hints, feedback, watch."""
