"""What a training run leaves: its scores by epoch, and two errors that hold them."""

from dataclasses import dataclass, field

from kerasbook.program import many

import keras


@dataclass
class History:
    """What a training run leaves: `history[name][i]` is a score after epoch `epoch[i]`.

    `compiled` says whether XLA compiled the steps.
    """

    history: dict[str, list[float]] = field(default_factory=dict)
    epoch: list[int] = field(default_factory=list)
    seconds: float = 0.0
    compiled: bool | None = None

    def add(self, epoch: int, logs: dict[str, float]) -> None:
        """Appends one epoch's scores."""
        self.epoch.append(epoch)
        for name, value in logs.items():
            self.history.setdefault(name, []).append(float(value))

    def last(self) -> dict[str, float]:
        """Returns the scores of the last epoch."""
        return {name: values[-1] for name, values in self.history.items()}


class NonFiniteLoss(ArithmeticError):
    """The loss became NaN or infinite; `.history` and `.last_loss` are from before that."""

    def __init__(self, message: str, history: History, last_loss: float):
        super().__init__(message)
        self.history, self.last_loss = history, last_loss


class Interrupted(KeyboardInterrupt):
    """Ctrl-C; `.model` has the weights and `.history` the whole epochs so far."""

    def __init__(self, model: keras.Model, history: History):
        super().__init__(f"interrupted after {many(len(history.epoch), 'whole epoch')}")
        self.model, self.history = model, history
