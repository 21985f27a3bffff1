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


# Halves of halves: Keras turns decays and rates into float32, which holds these exactly.
DECAYS = {"momentum": 0.875, "decay": 0.875, "beta1": 0.875, "beta2": 1 - 2**-10}


def keras_optimizer(name: str, rate: float, momentum: float):
    """Returns Keras' optimizer; with our decays."""
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
                options = DECAYS | {"rate": rate, "momentum": momentum}
                ours = js.get(
                    f"kerasbook.roll(kerasbook.surfaces.{surface}, '{name}', {list(start)}, 100, "
                    f"{json.dumps(options)})"
                )
                case = f"{surface} {name} {rate}"
                yield case, ours, keras_path(surface, name, rate, momentum)
                losses = js.get(f"{json.dumps(ours)}.map(kerasbook.surfaces.{surface}.loss)")
                yield case, losses, [float(SURFACES[surface](*place)) for place in ours]


# --- A network from scratch ---------------------------------------------------------------

NETWORKS = [  # sizes, activation, optimiser, data, mistakes
    *(
        (sizes, activation, optimiser, data, {})
        for (sizes, data), optimiser in zip(
            [([2, 2], "moons"), ([2, 3, 2], "corners"), ([2, 4, 4, 2], "rings")] * 2
            + [([2, 8, 3], "three"), ([2, 5, 4, 3, 3, 2], "spirals")],
            ["SGD", "momentum", "RMSProp", "Adam"] * 2,
            strict=True,
        )
        for activation in ("tanh", "relu", "sigmoid", "linear")
    ),
    ([2, 4, 2], "tanh", "SGD", "moons", {"bias": False}),
    ([2, 4, 3], "relu", "momentum", "three", {"bias": False, "doubleSoftmax": True}),
    ([2, 4, 2], "sigmoid", "SGD", "rings", {"zeroStart": True}),
    ([2, 4, 3], "tanh", "momentum", "three", {"doubleSoftmax": True}),
    ([2, 4, 2], "tanh", "SGD", "moons", {"wrongSign": True}),
]
RATE = 2**-5


def softmax_of(logits, label, twice: bool):
    """Returns the mean cross-entropy; with `twice` the mistake of chapter 2."""
    scores = tf.nn.softmax(logits) if twice else logits
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(label, scores))


def keras_network(sizes, activation, bias, weights) -> keras.Model:
    """Returns the same network of Keras' layers, in 64 bits."""
    kinds = [activation] * (len(sizes) - 2) + [None]
    dense = [
        keras.layers.Dense(units, kind, use_bias=bias, dtype="float64")
        for units, kind in zip(sizes[1:], kinds, strict=True)
    ]
    model = keras.Sequential([keras.Input(sizes[:1], dtype="float64"), *dense])
    model.set_weights(weights)
    return model


def arrays_of(layers, bias=True) -> list[np.ndarray]:
    """Returns JavaScript's layers, or their gradients, as a list of Keras' weights."""
    parts = [
        (np.reshape(layer["kernel"], (-1, len(layer["bias"]))), layer["bias"]) for layer in layers
    ]
    return [np.array(one) for part in parts for one in part[: 1 + bias]]


def scratch(js: Engine):
    """Yields each network's outputs, loss, gradients; with tanh, its weights after 100 steps."""
    for case, (sizes, activation, optimiser, data, mistakes) in enumerate(NETWORKS):
        bias, way = mistakes.get("bias", True), -1 if mistakes.get("wrongSign") else 1
        twice, options = mistakes.get("doubleSoftmax", False), {"seed": case} | mistakes
        training = {"optimiser": optimiser, "rate": RATE, "batch": 16, "seed": case}
        training |= {"decays": DECAYS, "wrongSign": way < 0}
        js.run(
            f"""var n = kerasbook.network, p = n.makePoints('{data}', 60, 0.1, {case});
            var one = n.makeNetwork({sizes}, '{activation}', {json.dumps(options)});
            var t = n.makeTrainer(one, p, {json.dumps(training)});"""
        )
        points, first = js.get("p"), arrays_of(js.get("one.layers"), bias)
        x, y = np.array(points["x"]), np.array(points["y"])
        model = keras_network(sizes, activation, bias, first)
        outputs = js.get("p.x.map((point) => n.forward(one, point).slice(1))")
        looking = keras.Model(model.inputs[0], [layer.output for layer in model.layers])
        theirs = looking(x) if len(sizes) > 2 else [looking(x)]
        for layer, output in enumerate(theirs):
            yield case, [row[layer] for row in outputs], output
        yield (
            case,
            js.get("p.x.map((point) => n.probabilities(one, point))"),
            tf.nn.softmax(theirs[-1]),
        )
        yield from compare_gradients(case, js, model, x, y, bias, twice)
        if activation == "tanh" or mistakes:
            rows = js.get("Array.from({length: 100}, () => (t.step(), t.rows))")
            train_by_keras(model, x, y, rows, keras_optimizer(optimiser, RATE, 0.875), twice, way)
            ours = arrays_of(js.get("one.layers"), bias)
            yield from ((case, *pair) for pair in zip(ours, model.get_weights(), strict=True))


def train_by_keras(model, x, y, rows, optimizer, twice: bool, way: int) -> None:
    """Takes a step with Keras' optimizer for each batch of rows; way -1 goes uphill."""
    variables = model.trainable_variables
    optimizer.build(variables)

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = softmax_of(model(x), y, twice)
        optimizer.apply([way * one for one in tape.gradient(loss, variables)], variables)

    for batch in rows:
        step(tf.constant(x[batch]), tf.constant(y[batch]))


def compare_gradients(case, js: Engine, model, x, y, bias: bool, twice: bool):
    """Yields the loss over all points, and its gradients."""
    found = js.get("n.gradients(one, p.x, p.y)")
    with tf.GradientTape() as tape:
        loss = softmax_of(model(x), y, twice)
    yield case, found["loss"], loss
    yield case, js.get("n.score(one, p).loss"), loss
    gradients = tape.gradient(loss, model.trainable_variables)
    for ours, theirs in zip(arrays_of(found["layers"], bias), gradients, strict=True):
        if np.abs(theirs).max() > 1e-12:  # where all is zero there is nothing to be a share of
            yield case, ours, theirs


CHECKS = {
    "descent": Check(
        ["optimisers.js", "surfaces.js"],
        descent,
        1e-9,
        "the paths of 100 steps on every surface, in 64 bits",
    ),
    "scratch": Check(
        ["optimisers.js", "network.js"],
        scratch,
        1e-9,
        "outputs of all layers, gradients, and weights after 100 steps, in 64 bits",
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
