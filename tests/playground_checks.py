"""Compares the playgrounds' JavaScript, run by V8 (mini-racer), with Keras.

    python tests/playground_checks.py            all of them
    python tests/playground_checks.py descent    one

writes kerasbook/web/playgrounds/differences.json, which the pages show. Each check yields pairs
(JavaScript's, Keras') and the number of cases; a difference is divided by the largest value of the
array that Keras computed. test_playgrounds.py runs the same, as it is and with mistakes planted.
"""

import contextlib
import functools
import json
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

from kerasbook.web import playgrounds

import keras
import numpy as np
import tensorflow as tf

PLAIN = "(key, value) => ArrayBuffer.isView(value) ? Array.from(value) : value"


class Engine:
    """V8 with some of the playgrounds' scripts."""

    def __init__(self, racer):
        self.racer = racer

    def get(self, expression: str):
        """Returns the value of an expression, by way of JSON."""
        return json.loads(self.racer.eval(f"JSON.stringify({expression}, {PLAIN})"))

    def run(self, statements: str) -> None:
        """Runs statements."""
        self.racer.eval(statements)


@contextlib.contextmanager
def engine(scripts, old: str = "", new: str = "") -> Iterator[Engine]:
    """Yields V8 with scripts; in one of them, once, `old` is replaced by `new`: a mistake."""
    from py_mini_racer import MiniRacer

    texts = [script_path(name).read_text(encoding="utf-8") for name in scripts]
    if old:
        assert sum(text.count(old) for text in texts) == 1, f"not there once: {old}"
        texts = [text.replace(old, new) for text in texts]
    with MiniRacer() as racer:
        for text in texts:
            racer.eval(text)
        yield Engine(racer)


def script_path(name: str):
    """Returns where a script lies: the weights have a folder of their own."""
    return (playgrounds.WEIGHTS if name.startswith("weights/") else playgrounds.SCRIPTS).joinpath(
        name.removeprefix("weights/")
    )


class Check(NamedTuple):
    """How a playground is compared."""

    scripts: list[str]
    pairs: Callable  # of the Engine: yields (case, JavaScript's, Keras')
    limit: float
    what: str


def relative(ours, theirs) -> float:
    """Returns the largest difference, as a share of their largest value; inf where one is NaN."""
    ours, theirs = (np.asarray(array, dtype="float64") for array in (ours, theirs))
    if ours.shape != theirs.shape or not np.isfinite(ours).all():
        return float("inf")
    return float(np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1e-30))


def measure(name: str, old: str = "", new: str = "") -> dict:
    """Returns the largest difference of a playground, and over how many cases."""
    check, cases, largest = CHECKS[name], set(), 0.0
    with engine(check.scripts, old, new) as js:
        for case, ours, theirs in check.pairs(js):
            cases.add(case)
            largest = max(largest, relative(ours, theirs))
            if old and largest > check.limit:
                break
    return {"largest": largest, "cases": len(cases), "what": check.what}


# --- Descent ------------------------------------------------------------------------------

SURFACES = {
    "round": lambda x, y: 22.334157271662075 + (x - 22.76355932) ** 2 + (y + 6.05499673) ** 2,
    "canyon": lambda x, y: canyon(x + 5.08057316, y + 0.59583546),
    "bend": lambda x, y: (1 - x) ** 2 + 10 * (y - x**2) ** 2,
    "saddle": lambda x, y: (x**2 - 1) ** 2 / 4 + y**2 / 2,
}
STARTS = {"round": (0, 0), "canyon": (0, 0), "bend": (-1.5, 1.5), "saddle": (0.01, 1.25)}


def canyon(a, b):
    """Returns chapter 1's loss at a place beside its lowest point."""
    return (
        17.045094217103866 + (1.4850698 * a * a + 2 * 5.73397529 * a * b + 30.57725654 * b * b) / 2
    )


def keras_optimizer(name: str, rate: float, momentum: float):
    """Returns Keras' optimizer; its decays are halves of halves, which float32 holds."""
    return {
        "SGD": lambda: keras.optimizers.SGD(rate),
        "momentum": lambda: keras.optimizers.SGD(rate, momentum=momentum),
        "RMSProp": lambda: keras.optimizers.RMSprop(rate, rho=0.875),
        "Adam": lambda: keras.optimizers.Adam(rate, beta_1=0.875, beta_2=1 - 2**-10),
    }[name]()


@functools.cache
def keras_path(surface: str, name: str, rate: float, momentum: float, steps: int = 100):
    """Returns (steps + 1, 2), float64: the places that Keras' optimizer comes to."""
    place = tf.Variable(np.array(STARTS[surface], "float64"))
    optimizer, path = keras_optimizer(name, rate, momentum), [place.numpy()]
    optimizer.build([place])

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = SURFACES[surface](*tf.unstack(place))
        optimizer.apply([tape.gradient(loss, place)], [place])

    for _ in range(steps):
        step()
        path.append(place.numpy())
    return np.array(path)


def descent(js: Engine):
    """Yields the paths of every optimiser on every surface, at two rates."""
    for surface, start in STARTS.items():
        for name in ("SGD", "momentum", "RMSProp", "Adam"):
            for rate, momentum in ((2**-6, 0.5), (2**-8, 0.875)):
                options = {"rate": rate, "momentum": momentum, "decay": 0.875, "beta1": 0.875}
                options |= {"beta2": 1 - 2**-10}
                ours = js.get(
                    f"kerasbook.roll(kerasbook.surfaces.{surface}, '{name}', {list(start)}, 100, "
                    f"{json.dumps(options)})"
                )
                case = f"{surface} {name} {rate}"
                yield case, ours, keras_path(surface, name, rate, momentum)
                losses = js.get(f"{json.dumps(ours)}.map(kerasbook.surfaces.{surface}.loss)")
                yield case, losses, [float(SURFACES[surface](*place)) for place in ours]


CHECKS = {
    "descent": Check(
        ["optimisers.js", "surfaces.js"],
        descent,
        1e-9,
        "the paths of 100 steps on every surface, in 64 bits",
    ),
}


def main(names: list[str]) -> None:
    """Measures the playgrounds, all or those named, and writes what the pages show."""
    path = playgrounds.DIFFERENCES
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for name in names or CHECKS:
        found[name] = measure(name)
        print(name, found[name], flush=True)
    path.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
