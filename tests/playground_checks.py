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
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from kerasbook import chapter3, chapter4, chapter6, chapter6_encoder_decoder
from kerasbook.data import load_film_sentences, load_shakespeare
from kerasbook.data.cmudict import END, START, encode_letters, read_words
from kerasbook.data.film import read_film_sentences
from kerasbook.data.shakespeare import encode_text, read_plays
from kerasbook.data.text import encode, split_words
from kerasbook.training import predict
from kerasbook.web import playgrounds
from kerasbook.web.playgrounds import weights as files

import keras
import numpy as np
import tensorflow as tf

sys.path.append(str(Path(__file__).parent.parent / "tools"))
from make_playground_weights import model_of

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


# --- Garments -----------------------------------------------------------------------------


@functools.cache
def garments_pictures() -> np.ndarray:
    """Returns (36, 28, 28) uint8: the page's pictures, some of them drawn into, extremes."""
    content = files.read("garments")[1]
    pictures = np.frombuffer(b64decode(content["pictures"]), "uint8").reshape(-1, 28, 28)
    random, drawn = np.random.default_rng(0), pictures[:12].copy()
    for picture in drawn:
        top, left = random.integers(0, 20, 2)
        picture[top : top + 8, left : left + 8] = random.choice([0, 255])
    noise = random.integers(0, 256, (2, 28, 28))
    extremes = [np.zeros((28, 28)), np.full((28, 28), 255)]
    return np.concatenate([pictures, drawn, noise, extremes]).astype("uint8")


@functools.cache
def garments_by_keras() -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Returns what Keras' layers make of the pictures, and Grad-CAM."""
    content, model = files.read("garments")[1], model_of("garments")
    x = (garments_pictures()[..., np.newaxis] - np.float32(content["mean"])) / content["std"]
    x = x.astype("float32")
    kinds = keras.layers.Conv2D | keras.layers.MaxPooling2D | keras.layers.Dense
    outputs = [layer.output for layer in model.layers if isinstance(layer, kinds)]
    found = keras.Model(model.inputs[0], outputs)(x, training=False)
    names = ["conv_1", "pool_1", "conv_2", "pool_2", "conv_3", "hidden", "logits"]
    layers = dict(zip(names, found, strict=True)) | {"probabilities": tf.nn.softmax(found[-1])}
    heat = chapter3.where_it_looks(model, x)
    return {name: np.asarray(array) for name, array in layers.items()}, np.asarray(heat)


def garments(js: Engine):
    """Yields every layer's output, the answer, single sums and Grad-CAM, picture by picture."""
    layers, heat = garments_by_keras()
    js.run("var c = kerasbook.load('garments'), n = kerasbook.convolution;")
    for case, picture in enumerate(garments_pictures()):
        pixels = picture.ravel().tolist()
        js.run(f"var f = n.forward(c.weights, n.standardise({pixels}, c.mean, c.std));")
        found = js.get("f")
        for name, theirs in layers.items():
            ours = found[name]["values"] if isinstance(found[name], dict) else found[name]
            yield case, ours, theirs[case].ravel()
        yield case, js.get("n.whereItLooks(c.weights, f)"), heat[case].ravel()
        for layer, below in (("conv_1", "picture"), ("conv_2", "pool_1"), ("conv_3", "pool_2")):
            i, j, channel = (case % size for size in layers[layer].shape[1:])
            one = js.get(f"n.explain(c.weights, '{layer}', f.{below}, {i}, {j}, {channel})")
            parts = [sum(np.multiply(part["window"], part["kernel"])) for part in one["channels"]]
            whole = layers[layer][case]  # a single number may be nearly zero
            yield case, one["value"] - whole[i, j, channel] + whole, whole
            yield case, max(sum(parts) + one["bias"], 0) - whole[i, j, channel] + whole, whole
        yield from garments_sums(js, case, {name: array[case] for name, array in layers.items()})


@functools.cache
def dense_layers() -> list:
    """Returns the two dense layers of chapter 3's model."""
    layers = model_of("garments").layers
    return [layer for layer in layers if isinstance(layer, keras.layers.Dense)]


def garments_sums(js: Engine, case: int, layers: dict[str, np.ndarray]):
    """Yields how a number of the dense layer and a logit come about, from one picture's layers."""
    first, last = dense_layers()
    unit, answer = case % 64, case % 10
    kernel = first.kernel.numpy().reshape(7, 7, 64, 64)[..., unit]
    one = js.get(f"n.explainDense(c.weights, f, {unit})")
    yield case, one["places"], (layers["conv_3"] * kernel).sum(axis=-1).ravel()
    yield case, one["value"] - layers["hidden"][unit] + layers["hidden"], layers["hidden"]
    one = js.get(f"n.explainLogit(c.weights, f, {answer})")
    theirs = layers["hidden"] * last.kernel.numpy()[:, answer]
    yield case, [part["product"] for part in one["parts"]], theirs
    yield case, one["total"] - layers["logits"][answer] + layers["logits"], layers["logits"]


# --- Reader -------------------------------------------------------------------------------

SENTENCES = [
    "",
    "Funny.",
    "Unheardof wordsthatnobodyknows !?",
    "IT’S a film that doesn''t end... and_or does it?",
    "good good good good bad bad bad bad",
    "A très moving café film, naïve and brûlée",
    "word " * 60,
    *(text for pair in chapter4.twins()[::20] for text in pair),
]


def reader(js: Engine):
    """Yields the words of all embedded sentences; gates, states and answers of some."""
    texts, rows, chosen = reader_rows()
    js.run("var c = kerasbook.load('reader'), n = kerasbook.recurrent;")
    js.run("var vocabulary = n.makeVocabulary(c.words);")
    ours = js.get(f"{json.dumps(texts)}.map((text) => n.encode(text, vocabulary))")
    same = [row == [*theirs[theirs > 0]] for row, theirs in zip(ours, rows, strict=True)]
    yield "all sentences", same, np.ones(len(rows))
    for case, theirs in enumerate(reader_by_keras()):
        row = chosen[case][chosen[case] > 0].tolist()
        found = js.get(f"n.read({row}, c.weights)")
        yield case, found["start"]["logit"], theirs["logit"][0]
        for name in ("z", "r", "candidate", "state", "hidden", "logit", "probability"):
            ours = [word[name] for word in found["words"]]
            if ours:
                yield case, ours, theirs[name][-len(ours) :]


@functools.cache
def reader_rows() -> tuple[list[str], np.ndarray, np.ndarray]:
    """Returns all texts, their rows of word numbers, and the rows that Keras reads."""
    parts = read_film_sentences()
    texts = [*SENTENCES, *(text for part in parts for text in part.texts)]
    vocabulary = load_film_sentences().vocabulary
    rows = encode([split_words(text) for text in texts], vocabulary, 40)
    longest = np.argsort(-(rows > 0).sum(axis=1))[:4]
    return texts, rows, np.concatenate([rows[: len(SENTENCES)], rows[longest], rows[100:112]])


@functools.cache
def reader_by_keras() -> list[dict[str, np.ndarray]]:
    """Returns for each row, word by word, gates by the chapter's functions, the rest by Keras."""
    model, rows = model_of("reader"), reader_rows()[2]
    gru = model.get_layer("gru")
    hidden = next(layer for layer in model.layers if isinstance(layer, keras.layers.Dense))
    states_of = keras.layers.GRU(gru.units, return_sequences=True)
    states_of.build((None, None, 32))
    states_of.set_weights(gru.get_weights())
    vectors = tf.gather(model.get_layer("embedding").embeddings, rows)
    states = np.pad(states_of(vectors), ((0, 0), (1, 0), (0, 0)))
    beginnings = [np.where(np.arange(40) < n, row, 0) for row in rows for n in range(41)]
    logits = np.reshape(predict(model, np.array(beginnings)), (len(rows), 41))
    found = []
    for row, vector, state, logit in zip(rows, vectors, states, logits, strict=True):
        words = np.count_nonzero(row)
        state, logit = state[: words + 1], logit[: words + 1]
        gates = chapter4.gru_gates(vector[:words], tf.constant(state[:-1]), gru.get_weights())
        one = dict(zip(("z", "r", "candidate"), map(np.asarray, gates), strict=True))
        one |= {"state": state, "hidden": np.asarray(hidden(state)), "logit": logit}
        found.append(one | {"probability": np.asarray(tf.sigmoid(logit))})
    return found


# --- Writer -------------------------------------------------------------------------------

KNOBS = [
    {"temperature": 1},
    {"temperature": 0},
    {"temperature": 0.5},
    {"temperature": 1.5, "topK": 5},
    {"temperature": 0.75, "topP": 0.75},
    {"temperature": 1.25, "topK": 12, "topP": 0.5},
]


@functools.cache
def writer_windows() -> list[list[int]]:
    """Returns rows of characters, 1 to 64 of them, from the plays and from elsewhere."""
    characters, (_, play, _) = load_shakespeare().classes, read_plays()
    texts = [play[900 * n : 900 * n + length] for n, length in enumerate([1, 2, 3, 5, 8, 16] * 4)]
    texts += [play[7000 * n : 7000 * n + 64] for n in range(1, 7)]
    texts += ["Ωωω 日本 {}", "KING.\n", "zzzzzzzzzzzzzzzz", "\n\n\n\n", "A"]
    return [encode_text(text, characters).tolist() for text in texts]


def through_stack(stack, tokens, *rest, mask):
    """Yields (name, array): what a stack of the chapter makes of one row of tokens, part by part.

    rest: the memory, for a decoder.
    """
    x = stack.embedding(np.array([tokens], "int32"))
    yield "embedded", x[0]
    for number, block in enumerate(stack.blocks):
        normed = block.norm_1(x)
        yield f"blocks[{number}].attention", block.attention.look(normed, normed, mask)[1][0]
        if rest:
            seen = x + block.attention(normed, attention_mask=mask)
            looks = block.cross_attention.look(block.norm_across(seen), *rest)
            yield f"blocks[{number}].cross", looks[1][0]
        x = block(x, *rest, mask)
        yield f"blocks[{number}].out", x[0]
    yield "out", stack.norm(x)[0]


def writer(js: Engine):
    """Yields every part of the way to the logits, the choices by every knob, and all characters."""
    model, characters = model_of("writer"), load_shakespeare().classes
    js.run("var c = kerasbook.load('writer'), n = kerasbook.transformer;")
    yield "norm", *norms(js)
    for case, tokens in enumerate(writer_windows()):
        js.run(f"var f = n.write(c.weights, {tokens}, c.heads);")
        mask = chapter6.causal_mask(len(tokens))[tf.newaxis]
        for name, theirs in through_stack(model.get_layer("stack"), tokens, mask=mask):
            yield case, js.get(f"f.{name}"), theirs
        logits = np.asarray(model(np.array([tokens], "int32")))[0]
        yield case, js.get("f.logits"), logits
        for knobs in KNOBS:
            ours = js.get(f"n.choices(f.logits.at(-1), {json.dumps(knobs)})")
            yield case, ours, choices_by_keras(logits[-1], **knobs)
    for play in read_plays():
        ours = js.get(f"n.encodeText({json.dumps(play)}, c.characters)")
        yield "all plays", ours, encode_text(play, characters)


def norms(js: Engine):
    """Returns layer normalisation by both, with an ε so large that its place is seen."""
    x, scale, shift = np.split(np.random.default_rng(0).normal(size=(5, 8)), [3, 4])
    layer = keras.layers.LayerNormalization(epsilon=0.1, dtype="float64")
    layer.build(x.shape)
    layer.set_weights([scale[0], shift[0]])
    given = ", ".join(json.dumps(part.tolist()) for part in (x, scale[0], shift[0]))
    return js.get(f"n.layerNorm({given}, 0.1)"), layer(x)


def choices_by_keras(logits, temperature=1.0, topK=0, topP=1.0):
    """Returns the probabilities that chapter 6's `sample` draws from."""
    if temperature == 0:
        return np.eye(len(logits))[logits.argmax()]
    logits = tf.constant(logits / np.float32(temperature))
    logits = chapter6.keep_top_k(logits, topK) if topK else logits
    return tf.nn.softmax(chapter6.keep_top_p(logits, topP) if topP < 1 else logits)


# --- Speaker ------------------------------------------------------------------------------

WORDS = [
    "a" * 2,
    "zzzzzzzzzzzzzz",
    "though",
    "tough",
    "through",
    "thought",
    "thoughtfully",
    "xylem",
]
WORDS += ["keras", "Colonel", "queue", "psychology", "rhythm", "island", "ghoti", "blorft"]


@functools.cache
def speaker_words() -> tuple[list[str], list, list, list]:
    """Returns words, their letters, and what Keras says greedily and by 1, 2 and 4 beams."""
    words = WORDS + [word for word, _ in read_words()[777:115_000:6500]]
    letters, model = encode_letters(words), model_of("speaker")
    said = chapter6_encoder_decoder.greedy(model, letters)
    beams = [chapter6_encoder_decoder.beam_search(model, letters, count) for count in (1, 2, 4)]
    return words, letters, said, beams


def speaker_names() -> list[str]:
    """Returns the names of the sounds, that of nothing first."""
    return files.read("speaker")[1]["sounds"]


def up_to_end(row) -> list[int]:
    """Returns the sounds of a row up to its end, the end included."""
    row = [int(sound) for sound in row]
    return row[: row.index(END) + 1] if END in row else row


def speaker(js: Engine):
    """Yields every part of both stacks, what is said greedily and by beam, and all letters."""
    js.run("var c = kerasbook.load('speaker'), n = kerasbook.transformer;")
    model, (words, letters, said, beams) = model_of("speaker"), speaker_words()
    for case, word in enumerate(words):
        row = letters[case][letters[case] > 0]
        js.run(f"var e = n.readLetters(c.weights, n.encodeLetters('{word}'), c.heads);")
        reads = np.ones((1, len(row), len(row)), bool)
        for name, theirs in through_stack(model.get_layer("encoder"), row, mask=reads):
            yield case, js.get(f"e.{name}"), theirs
        yield case, js.get("n.greedy(c.weights, e.out, c.heads)"), up_to_end(said[case])
        yield from compare_speech(case, js, model, row, up_to_end(said[case]))
        for count, (rows, scores) in zip((1, 2, 4), beams, strict=True):
            js.run(f"var b = n.beamSearch(c.weights, e.out, c.heads, {count});")
            yield case, js.get("b[0].said"), up_to_end(rows[case])
            yield case, js.get("b[0].score"), scores[case]
        for beam in js.get("b"):
            logits = model((row[np.newaxis], np.array([[START, *beam["said"][:-1]]], "int32")))[0]
            logs = np.asarray(tf.nn.log_softmax(logits))
            expected = sum(logs[place, sound] for place, sound in enumerate(beam["said"]))
            yield case, beam["score"], expected
    spelt = [word for word, _ in read_words()]
    ours = js.get(f"{json.dumps(spelt)}.map((word) => n.encodeLetters(word))")
    theirs = encode_letters(spelt)
    same = [row == [*other[other > 0]] for row, other in zip(ours, theirs, strict=True)]
    yield "all words", same, np.ones(len(spelt))


def compare_speech(case, js: Engine, model, row, said):
    """Yields every part of the decoder while it says the sounds `said`, and its logits."""
    before = [START, *said[:-1]]
    memory = chapter6_encoder_decoder.as_reader(model)(row[np.newaxis])
    js.run(f"var f = n.say(c.weights, e.out, {before}, c.heads);")
    mask = chapter6.causal_mask(len(before))[tf.newaxis]
    for name, theirs in through_stack(model.get_layer("decoder"), before, memory, mask=mask):
        yield case, js.get(f"f.{name}"), theirs
    logits = model((row[np.newaxis], np.array([before], "int32")))[0]
    yield case, js.get("f.logits"), logits


CHECKS = {
    "descent": Check(
        ["optimisers.js", "surfaces.js"],
        descent,
        1e-9,
        "the paths of 100 steps on every surface, in 64 bits",
    ),
    "garments": Check(
        ["weights.js", "weights/garments.js", "convolution.js"],
        garments,
        1e-5,
        "the maps of all layers, the probabilities, single sums and Grad-CAM, as a share of the "
        "largest number of each",
    ),
    "reader": Check(
        ["weights.js", "weights/reader.js", "recurrent.js"],
        reader,
        1e-5,
        "gates, candidates, states and answers after every word, as a share of the largest number "
        "of each; and the words of all 10,549 sentences of the book are the same",
    ),
    "writer": Check(
        ["weights.js", "weights/writer.js", "transformer.js"],
        writer,
        1e-5,
        "attention, every block, logits and the choices by every knob, as a share of the largest "
        "number of each; and the numbers of all characters of the plays are the same",
    ),
    "speaker": Check(
        ["weights.js", "weights/speaker.js", "transformer.js"],
        speaker,
        1e-5,
        "attention, every block, logits, and the scores of beams, as a share of the largest number "
        "of each; greedily and by 1, 2 and 4 beams it says the same",
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
