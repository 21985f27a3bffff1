"""Train an LSTM, masked, that remembers how a switch was last set."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

NO_ARRAY = "predict must return (n,) probabilities, finite floating point numbers"
OUTSIDE = (
    "Some answers are below 0 or above 1: they are no probabilities. Are they logits? Then a "
    "sigmoid is missing."
)
ONE_CLASS = (
    "All answers are the same class. Whatever was learned, it does not depend on the sequence: "
    "look at the loss while it trains."
)
BY_CHANCE = (
    "The same sequences get other answers when they are asked again: something random is still at "
    "work. Dropout, for one, belongs to training only."
)
PADDING = (
    "The answers change when more zeros are added behind the sequences: the model reads the "
    "padding. Give it a mask, or the lengths."
)
SWAPPED = (
    "Nearly all answers are wrong, so the model knows the answer and says the opposite: it gives "
    "the probability of 'off'."
)
FIRST = (
    "Your answers follow the first signal of a sequence; asked for is the last. In which "
    "direction is time read?"
)
MAJORITY = (
    "Your answers follow the majority of the signals in a sequence, in whatever order they "
    "come. A sum or mean over time loses the order; the last signal alone decides."
)
THRESHOLD = 0.95

exercise = Exercise(
    chapter=5,
    minutes=40,
    difficulty=2,
    points=4,
    kind="trained model",
    outputs=None,
    seconds=120,
    hints=[
        "A small LSTM is enough. All that it must learn is to keep its cell when a step says "
        "nothing, and to overwrite it when a signal comes.",
        "The steps behind the end of a sequence are exactly zero. keras.layers.Masking() makes a "
        "mask of that and hands it on to the LSTM. With keras.Input((None, 3)) the model takes "
        "sequences of any length.",
        "Sequential: Input((None, 3)), Masking(), LSTM(16), Dense(1, activation='sigmoid'); "
        "binary cross-entropy, Adam(0.03), batches of 50, 6 epochs. Return a function that gives "
        "model(x)[:, 0].",
    ],
)


@exercise.stub
def train_switch(x, answers):
    """Train a model that tells whether a switch is on at the end of a sequence.

    At each step three sensors are read. Now and then a signal comes that sets the switch, on or
    off; the other steps hold noise, and pulses that have nothing to do with the switch. Which
    direction of the three numbers is "on" you are not told, nor which pulses mean nothing: it is
    in the data. The answer is how the switch was set last. Every sequence has at least one signal.

    Sequences have different lengths. Behind its end each is padded with zeros; a step in which
    all three numbers are exactly 0 is padding. How far a sequence is padded must not matter.

    Practises: chapter 5, "Recordings of different lengths".

    Args:
        x: (n, time, 3) float32 array; 800 sequences or more for training.
        answers: (n,) int32 array: 1 for on, 0 for off.

    Returns:
        A function predict(x) of a float32 array (any n, any time, 3): the probabilities of "on",
        (n,), floats between 0 and 1.

    It is asked for sequences it has not seen, twice, and for the same ones with more zeros behind
    them. At least 95 % of the answers must be right (on if the probability is 0.5 or more), and no
    probability may change by more than 0.02 from one time to another. Limit: 120 s for
    all cases together; a few seconds are enough.
    """
    raise NotImplementedError


@exercise.driver
def run(solution, inputs, memory):
    if "answers" in inputs:
        memory["predict"] = solution(inputs["x"], inputs["answers"])
        return {"trained": np.ones(1)}
    return {"probabilities": memory["predict"](inputs["x"])}


def sequences(random, directions, n, time):
    """Returns x (n, time, 3), and the signals (n, time) in it: 1, −1, or 0 for none."""
    real = np.arange(time) < random.integers(time // 2, time + 1, size=(n, 1))
    signals, others = random.choice([0, 0, -1, 1], size=(2, n, time)) * real
    silent = ~signals.any(axis=1)
    signals[silent, 0] = random.choice([-1, 1], size=silent.sum())
    x = np.stack([signals, others], axis=-1) @ directions  # (n, time, 3)
    x += random.normal(0, 0.1, size=x.shape)
    return (x * real[..., np.newaxis]).astype("float32"), signals


def ends(signals):
    """Returns the first and the last signal of each sequence, and the sum of all, each (n,)."""
    rows, last = np.arange(len(signals)), signals.shape[1] - 1
    first = signals[rows, np.argmax(signals != 0, axis=1)]
    final = signals[rows, last - np.argmax(signals[:, ::-1] != 0, axis=1)]
    return first, final, signals.sum(axis=1)


def switch_case(name, random, n, time):
    """Returns the case: training data, unseen sequences, and these with more zeros."""
    directions = np.linalg.qr(random.normal(size=(3, 3)))[0][:2]
    x, signals = sequences(random, directions, n, time)
    unseen, hidden_signals = sequences(random, directions, 400, time)
    longer = np.pad(unseen, [(0, 0), (0, 2 * time), (0, 0)])
    training = {"x": x, "answers": (ends(signals)[1] > 0).astype("int32")}
    calls = [training, {"x": unseen}, {"x": unseen}, {"x": longer}]
    return Case(name, calls=calls, secret=ends(hidden_signals))


@exercise.public
def examples(random):
    yield switch_case("800 sequences of up to 6 steps", random, 800, 6)


@exercise.hidden
def drawn(random):
    yield switch_case("1000 sequences of up to 10 steps", random, 1000, 10)


@exercise.judge
def judge(case, outputs):
    first, last, total = case.secret
    answers = []
    for each in outputs[1:]:
        p = each.get("probabilities")
        if p is None or p.shape != last.shape or p.dtype.kind != "f" or not np.isfinite(p).all():
            return NO_ARRAY + ("" if p is None else f"; this is {p.dtype} {p.shape}")
        answers.append(p.astype("float64"))
    p, again, with_zeros = answers
    if p.min() < -1e-6 or p.max() > 1 + 1e-6:
        return OUTSIDE
    on = p >= 0.5
    if on.all() or not on.any():
        return ONE_CLASS
    if np.abs(p - again).max() > 0.02:
        return BY_CHANCE
    if np.abs(p - with_zeros).max() > 0.02:
        return PADDING
    accuracy = np.mean(on == (last > 0))
    if accuracy >= THRESHOLD:
        return None
    if accuracy <= 1 - THRESHOLD:
        return SWAPPED
    if np.mean(on == (first > 0)) >= THRESHOLD:
        return FIRST
    if np.mean((on == (total > 0))[total != 0]) >= THRESHOLD:
        return MAJORITY
    return f"{accuracy:.1%} of the answers are right, and {THRESHOLD:.0%} are needed"


@exercise.reference
def solution(x, answers):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((None, 3)),
            keras.layers.Masking(),
            keras.layers.LSTM(16),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.03), "binary_crossentropy")
    model.fit(x, answers, epochs=6, batch_size=50, verbose=0)
    return lambda x: model(x)[:, 0]


@exercise.right
def with_tensorflow(x, answers):
    def memory(numbers, x):
        real, total = tf.reduce_any(x != 0, axis=2), tf.zeros(numbers.shape[:1] + numbers.shape[2:])
        for now, kept in zip(tf.unstack(numbers, axis=1), tf.unstack(real, axis=1)):
            total = tf.where(kept[:, None], now + 0.45 * total, total)
        return total

    signs = tf.cast(2 * answers - 1, tf.float32)[:, None]
    direction = tf.linalg.lstsq(memory(tf.constant(x), x), signs)
    direction /= tf.norm(direction)
    return lambda x: tf.sigmoid(1e4 * memory(tf.round(x @ direction), x))[:, 0]


@exercise.right
def with_a_direction(x, answers):
    # The signal nearest to the end agrees with the answer: that gives the direction.
    def age(x):
        steps = np.arange(x.shape[1])
        return (x != 0).any(axis=2).sum(axis=1, keepdims=True) - 1 - steps  # < 0: padding

    weights = np.where(age(x) < 0, 0, 0.5 ** np.abs(age(x)))
    direction = np.einsum("nt,ntd,n->d", weights, x, 2.0 * answers - 1)
    direction /= np.linalg.norm(direction)

    def predict(x):
        along = x @ direction
        loud = np.abs(along) > 0.5
        last = np.argmin(np.where(loud, np.abs(age(x)), 9999), axis=1)
        return 1 / (1 + np.exp(-5 * along[np.arange(len(x)), last]))

    return predict


@exercise.right
def with_a_fading_sum(x, answers):
    def fading_sum(numbers, x, rate):
        real, total = (x != 0).any(axis=2), 0.0
        for t in range(x.shape[1]):
            kept = real[:, t].reshape(-1, *[1] * (numbers.ndim - 2))
            total = np.where(kept, rate * total + numbers[:, t], total)
        return total

    memory = fading_sum(x, x, 0.5)
    direction = np.linalg.lstsq(memory, 2.0 * answers - 1, rcond=None)[0]
    direction /= np.linalg.norm(direction)

    def predict(x):
        cubes = (x @ direction) ** 3  # noise is small, and smaller as a cube
        return 0.5 + 0.5 * np.tanh(1e3 * fading_sum(cubes, x, 0.4))

    return predict


@exercise.wrong(PADDING)
def padding_read(x, answers):
    weights = 0.5 ** np.arange(x.shape[1])[::-1]
    memory = np.einsum("t,ntd->nd", weights, x)
    direction = np.linalg.lstsq(memory, 2.0 * answers - 1, rcond=None)[0]

    def predict(x):
        weights = 0.5 ** np.arange(x.shape[1])[::-1]
        return 1 / (1 + np.exp(-np.einsum("t,ntd,d->n", weights, x, direction)))

    return predict


@exercise.wrong(ONE_CLASS)
def nothing_learned(x, answers):
    return lambda x: np.full(len(x), answers.mean())


@exercise.wrong(OUTSIDE)
def logits_returned(x, answers):
    signs = 2.0 * answers - 1
    direction = np.linalg.lstsq(x.sum(axis=1), signs, rcond=None)[0]
    return lambda x: 9 * x.sum(axis=1) @ direction


@exercise.wrong(SWAPPED)
def probability_of_off(x, answers):
    lengths = (x != 0).any(axis=2).sum(axis=1)
    steps = np.arange(x.shape[1])
    weights = np.where(steps < lengths[:, None], 0.5 ** (lengths[:, None] - 1.0 - steps), 0)
    direction = np.einsum("nt,ntd,n->d", weights, x, 2.0 * answers - 1)
    direction /= np.linalg.norm(direction)

    def predict(x):
        along = x @ direction
        last = x.shape[1] - 1 - np.argmax(np.abs(along[:, ::-1]) > 0.5, axis=1)
        return 1 / (1 + np.exp(5 * along[np.arange(len(x)), last]))

    return predict


@exercise.wrong(FIRST)
def time_backwards(x, answers):
    lengths = (x != 0).any(axis=2).sum(axis=1)
    steps = np.arange(x.shape[1])
    weights = np.where(steps < lengths[:, None], 0.5 ** (lengths[:, None] - 1.0 - steps), 0)
    direction = np.einsum("nt,ntd,n->d", weights, x, 2.0 * answers - 1)
    direction /= np.linalg.norm(direction)

    def predict(x):
        along = x @ direction
        first = np.argmax(np.abs(along) > 0.5, axis=1)
        return 1 / (1 + np.exp(-5 * along[np.arange(len(x)), first]))

    return predict


@exercise.wrong(MAJORITY)
def sum_over_time(x, answers):
    direction = np.linalg.lstsq(x.sum(axis=1), 2.0 * answers - 1, rcond=None)[0]
    direction /= np.linalg.norm(direction)
    return lambda x: 1 / (1 + np.exp(-4 * np.round(x @ direction).sum(axis=1) - 0.1))


@exercise.wrong()
def one_column_too_many(x, answers):
    return lambda x: np.full((len(x), 1), 0.5)


@exercise.wrong()
def last_step_only(x, answers):
    def last(x):
        return x[np.arange(len(x)), (x != 0).any(axis=2).sum(axis=1) - 1]

    direction = np.linalg.lstsq(last(x), 2.0 * answers - 1, rcond=None)[0]
    return lambda x: 1 / (1 + np.exp(-last(x) @ direction))


@exercise.wrong()
def not_numbers(x, answers):
    return lambda x: np.full(len(x), np.nan)


@exercise.wrong(BY_CHANCE)
def dropout_left_on(x, answers):
    random = np.random.default_rng(0)
    direction = np.linalg.lstsq(x.sum(axis=1), 2.0 * answers - 1, rcond=None)[0]

    def predict(x):
        kept = random.random(x.shape) < 0.5
        return 1 / (1 + np.exp(-9 * (x * kept).sum(axis=1) @ direction))

    return predict


@exercise.wrong()
def by_chance(x, answers):
    def predict(x):
        return np.abs(np.sin(1e4 * x[:, 0].sum(axis=1).astype("float64")))

    return predict
