"""Chapter 6, continued: what the ledger claims of the encoder–decoder, and its mistakes."""

from kerasbook import chapter6, chapter6_encoder_decoder
from kerasbook.ledger.chapter6 import block_pairs
from kerasbook.ledger.core import claim, mutant

import numpy as np
import tensorflow as tf


@claim(6, "mask of segments, and places in them", sources="NT")
def _(draw):
    words, other = (draw.random.integers(0, 3, (2, time)) for time in (6, 4))
    by_index = np.array([[[a == b for b in o] for a in w] for w, o in zip(words, other)])
    places = np.array([[sum(row[:t] == row[t]) for t in range(6)] for row in words])
    same = chapter6_encoder_decoder.same_segment(words, other)
    return {
        "values, mask": (tf.cast(same, draw.dtype), by_index),
        "values, places": (chapter6_encoder_decoder.places_in(words), places),
    }


def _block_claim(name: str, kind) -> None:
    @claim(6, f"block of the decoder, {name} = the same of Keras' layers")
    def pairs(draw):
        x, memory = tf.constant(draw(2, draw.size(3, 6), 12)), tf.constant(draw(2, 4, 12))
        mask = chapter6.causal_mask(x.shape[1])[tf.newaxis]
        memory_mask = tf.constant(draw(2, x.shape[1], 4) > 0)
        by_keras = chapter6_encoder_decoder.keras_decoder_block
        return block_pairs(
            draw,
            lambda: kind(12, 3),
            lambda block, x, memory: block(x, memory, mask, memory_mask),
            lambda block, x, memory: by_keras(block, x, memory, mask, memory_mask),
            x,
            memory,
        )


_block_claim("normalised before", chapter6_encoder_decoder.DecoderBlock)
_block_claim("normalised after", chapter6_encoder_decoder.PostNormDecoderBlock)


# --- mistakes to be seen --------------------------------------------------------------------

mutant(
    6,
    chapter6_encoder_decoder.same_segment,
    "keras.ops.equal",
    "keras.ops.not_equal",
    "other words only",
    by="mask of segments",
)
mutant(
    6,
    chapter6_encoder_decoder.places_in,
    "keras.ops.tril(same)",
    "same",
    "places counted over the whole word",
    by="mask of segments",
)
mutant(
    6,
    chapter6_encoder_decoder.DecoderBlock,
    "self.cross_attention(self.norm_across(x), memory, memory_mask)",
    "self.cross_attention(self.norm_across(x), memory)",
    "the memory's mask forgotten",
    by="block of the decoder",
)
