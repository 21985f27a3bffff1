"""How fast is the book's loop? Side by side with six other ways to train the same models.

    python -m kerasbook.bench --json bench.json

Each row is what a chapter's command trains, taken from its `main`. All sides start from the same
weights, and take the same batches with the same optimizer: `model.fit` at its defaults, `model.fit`
tuned (many steps per call, with and without XLA: the quicker one counts), the articles' own eager
loop, a `Trainer` object, and, where torch is installed, PyTorch, eager and compiled. After four
steps, with dropout off, their outputs are compared. Every side is a process of its own; they train
in turns, and only one at a time. A ratio is taken round by round: its median is the headline, the
smallest and the largest stand beside it.
"""


def main(arguments: list[str] | None = None) -> None:
    """Runs `python -m kerasbook.bench`."""
    # Not at the top: PyTorch's processes use this package, and must not import TensorFlow.
    from kerasbook.bench.command import main

    main(arguments)
