"""The lottery ticket: back to the first weights, with the mask of the trained ones."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=8,
    minutes=20,
    difficulty=2,
    points=3,
    outputs=None,
    hints=[
        "Which weights decide what goes, and which weights come out?",
        "Only the weights that are still there compete, all kernels together. Count them, and find "
        "the border below which the smallest share of them lies.",
        "alive = np.concatenate([np.abs(w)[m] for w, m in zip(trained, masks)]); count = int(share "
        "* len(alive)); border = np.sort(alive)[count]; new mask: m & (np.abs(w) >= border); "
        "weights: first * new mask.",
    ],
)


@exercise.stub
def winning_ticket(first, trained, masks, share):
    """Prune once more, and rewind: a round of the search for a winning ticket.

    A network is trained, pruned a little, set back to its *first* weights (but those that were
    pruned), trained again, and so on: what is left after some rounds can often be trained alone as
    well as the whole network, while other weights of the same number cannot (Frankle and Carbin,
    2019). This is what happens between two trainings.

    Of the weights that are still there (mask True), all kernels together, the share with the
    smallest |trained weight| is pruned: int(share · their number) weights. No two are equal in
    size. What was pruned before stays pruned, whatever number `trained` has there.

    Practises: chapter 8, "Which weights can go?" and "Keep them away".

    Args:
        first: list of kernels, float64 arrays of any shapes: the first weights.
        trained: list of arrays of the same shapes: the weights after training.
        masks: list of bool arrays of the same shapes.
        share: float from 0 to 1, exclusive.

    Returns:
        The new masks, a list of bool arrays; and the weights for the next training, a list of
        arrays, zero where the new mask is False.
    """
    raise NotImplementedError


@exercise.driver
def run(solution, inputs, memory):
    count = sum(name.startswith("first") for name in inputs)
    lists = [
        [np.array(inputs[f"{kind} {number}"]) for number in range(count)]
        for kind in ("first", "trained", "mask")
    ]
    masks, weights = solution(*lists, inputs["share"])
    found = {f"mask {number}": np.asarray(each, bool) for number, each in enumerate(masks)}
    for number, each in enumerate(weights):
        found[f"weights {number}"] = np.asarray(each, "float64")
    return found


def network(random, shapes, share, alive=1.0):
    """Returns the inputs of a case; kernels grow from one to the next."""
    inputs = {"share": share}
    for number, shape in enumerate(shapes):
        inputs[f"first {number}"] = random.normal(size=shape)
        inputs[f"trained {number}"] = random.normal(size=shape) * 2.0**number
        inputs[f"mask {number}"] = random.uniform(size=shape) < alive
    return inputs


@exercise.public
def examples(random):
    first, trained = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.5, -0.1, 0.3, -2.0])
    mask = np.array([True, True, False, True])
    inputs = {"first 0": first, "trained 0": trained, "mask 0": mask, "share": 0.4}
    yield Case("four weights, three are there", inputs)


@exercise.hidden
def drawn(random):
    yield Case("the first round", network(random, [(4, 5), (5, 3)], 0.3))
    yield Case("a later round", network(random, [(6, 5), (5, 4), (4, 2)], 0.5, alive=0.4))
    yield Case("a convolution", network(random, [(3, 3, 2, 4), (16, 3)], 0.2, alive=0.8))
    yield Case("nothing goes", network(random, [(3, 3), (3, 1)], 0.05, alive=0.6))


@exercise.reference
def solution(first, trained, masks, share):
    alive = np.concatenate([np.abs(w)[m] for w, m in zip(trained, masks)])
    border = np.sort(alive)[int(share * len(alive))]
    new = [m & (np.abs(w) >= border) for w, m in zip(trained, masks)]
    return new, [w * m for w, m in zip(first, new)]


@exercise.right
def by_order(first, trained, masks, share):
    sizes = np.concatenate([np.where(m, np.abs(w), np.inf).ravel() for w, m in zip(trained, masks)])
    keep = np.concatenate([m.ravel() for m in masks])
    keep[np.argsort(sizes)[: int(share * keep.sum())]] = False
    ends = np.cumsum([m.size for m in masks])[:-1]
    new = [part.reshape(m.shape) for part, m in zip(np.split(keep, ends), masks)]
    return new, [np.where(m, w, 0.0) for w, m in zip(first, new)]


@exercise.right
def one_weight_at_a_time(first, trained, masks, share):
    new = [np.array(m) for m in masks]
    places = [(k, i) for k, m in enumerate(masks) for i in np.ndindex(m.shape) if m[i]]
    places.sort(key=lambda place: abs(trained[place[0]][place[1]]))
    for k, i in places[: int(share * len(places))]:
        new[k][i] = False
    weights = [np.array(w) for w in first]
    for w, m in zip(weights, new):
        w[~m] = 0
    return new, weights


@exercise.right
def with_tensors(first, trained, masks, share):
    alive = tf.concat([tf.abs(w)[m] for w, m in zip(map(tf.constant, trained), masks)], 0)
    count = int(share * int(alive.shape[0]))
    border = tf.sort(alive)[count]
    new = [m & (tf.abs(w) >= border).numpy() for w, m in zip(map(tf.constant, trained), masks)]
    return new, [tf.where(m, w, 0.0) for w, m in zip(first, new)]


exercise.mistake(
    "not_rewound",
    "These are the trained weights. The ticket begins again with the *first* ones.",
    old="zip(first, new)",
    new="zip(trained, new)",
)
exercise.mistake(
    "share_of_all",
    "The share is taken of all weights, also of those that are gone already. Count the ones that "
    "are still there.",
    old="alive = np.concatenate([np.abs(w)[m] for w, m in zip(trained, masks)])",
    new="alive = np.concatenate([np.abs(w * m).ravel() for w, m in zip(trained, masks)])",
)
exercise.mistake(
    "old_masks_forgotten",
    "Weights that had been pruned before are back. A new mask can only have less than the old one.",
    old="m & (np.abs(w) >= border)",
    new="(np.abs(w) >= border)",
)
exercise.mistake(
    "first_sizes_decide",
    "The sizes of the first weights decide here, which are random. Those of the trained ones say "
    "what the network has come to need.",
    old="""np.abs(w)[m] for w, m in zip(trained, masks)])
    border = np.sort(alive)[int(share * len(alive))]
    new = [m & (np.abs(w) >= border) for w, m in zip(trained, masks)]""",
    new="""np.abs(w)[m] for w, m in zip(first, masks)])
    border = np.sort(alive)[int(share * len(alive))]
    new = [m & (np.abs(w) >= border) for w, m in zip(first, masks)]""",
)
exercise.mistake("largest_go", old="np.abs(w) >= border", new="np.abs(w) < border")
exercise.mistake("no_sign", old="m & (np.abs(w) >= border)", new="m & (w >= border)")
exercise.mistake(
    "one_too_many", old="[int(share * len(alive))]", new="[int(share * len(alive)) + 1]"
)
exercise.mistake("share_stays", old="int(share * len", new="int((1 - share) * len")


@exercise.wrong()
def each_kernel_alone(first, trained, masks, share):
    new = []
    for w, m in zip(trained, masks):
        alive = np.sort(np.abs(w)[m])
        new.append(m & (np.abs(w) >= alive[int(share * len(alive))]))
    return new, [w * m for w, m in zip(first, new)]
