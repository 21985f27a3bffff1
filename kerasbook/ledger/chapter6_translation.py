"""Chapter 6, translation: what the ledger claims of the cache and of chrF, and its mistakes."""

from kerasbook import chapter6_encoder_decoder, chapter6_translation
from kerasbook.ledger.core import claim, mutant, precision

import numpy as np
import tensorflow as tf


# In 32 bits: the waves of the positions are, whatever the model, and sin of one number and of many
# may differ in the last digit.
@claim(
    6,
    "decoding with a cache, step by step = the whole model at once",
    dtypes=("float32",),
    sources="TK",
)
def _(draw):
    with precision(draw.dtype):
        model = chapter6_encoder_decoder.make_pronouncer(8, heads=2, blocks=2, sounds=7)
    model.set_weights([0.3 * draw(*weight.shape) for weight in model.weights])
    source = draw.random.integers(1, 20, (2, draw.size(3, 6))).astype("int32")
    source[0, 2:] = 0  # padding
    before = draw.random.integers(1, 7, (2, 5)).astype("int32")
    mask = chapter6_encoder_decoder.padding_mask(source)
    memory = model.get_layer("encoder")(source, mask)
    blocks = model.get_layer("decoder").blocks
    caches = [chapter6_translation.start_cache(block, memory) for block in blocks]
    steps = []
    for place, token in enumerate(before.T):
        logits, caches = chapter6_translation.cached_step(model, token, place, caches, mask)
        steps.append(logits)
    return {"values": (tf.stack(steps, axis=1), model((source, before)))}


@claim(6, "chrF = its definition, run by run", dtypes=("float64",), sources="N")
def _(draw):
    said, right = (
        ["".join(draw.random.choice(list("ab "), 12)) + "ab" * 3 for _ in range(3)] for _ in "xy"
    )
    precisions, recalls = [], []
    for length in range(1, 7):
        common = ours = theirs = 0
        for pair in zip(said, right, strict=True):
            a, b = (text.replace(" ", "") for text in pair)
            runs = [[t[i : i + length] for i in range(len(t) - length + 1)] for t in (a, b)]
            ours, theirs = ours + len(runs[0]), theirs + len(runs[1])
            common += sum(min(runs[0].count(run), runs[1].count(run)) for run in set(runs[0]))
        precisions.append(common / ours)
        recalls.append(common / theirs)
    p, r = np.mean(precisions), np.mean(recalls)
    return {
        "values": (
            np.array(chapter6_translation.chrf(said, right)),
            np.array(5 * p * r / (4 * p + r)),
        )
    }


# --- mistakes to be seen --------------------------------------------------------------------

mutant(
    6,
    chapter6_translation.cached_block,
    "tf.concat(pair, axis=2)",
    "pair[1]",
    "the cache forgets",
    by="cache",
)
mutant(
    6,
    chapter6_translation.cached_block,
    "block.norm_across(x)",
    "block.norm_1(x)",
    "another norm",
    by="cache",
)
mutant(
    6,
    chapter6_translation.chrf,
    "4 * precision + recall",
    "precision + 4 * recall",
    "precision counts more",
    by="chrF",
)
