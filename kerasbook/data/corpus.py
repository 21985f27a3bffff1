"""Texts without labels, for pretraining: glosses of a dictionary, speeches, film sentences."""

from __future__ import annotations

import json
import lzma
import re
from typing import Any

from kerasbook.data import safetensors
from kerasbook.data.embedded import read_file
from kerasbook.data.film import read_film_sentences
from kerasbook.data.wordpieces import read_pieces

import numpy as np

SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[\"A-Z])")


def read_texts() -> dict[str, list[str]]:
    """Returns the lists "glosses", "speeches" (their sentences) and "film".

    Of the film sentences only the training part is there, without its ratings. Sources and known
    flaws: files/wordnet_glosses_60k.md, files/speeches_1930.md, files/sentiment_movie.md.
    """
    glosses = lzma.decompress(read_file("wordnet_glosses_60k.txt.xz")).decode().splitlines()
    speeches = lzma.decompress(read_file("speeches_1930.txt.xz")).decode().splitlines()
    spoken = [line for line in speeches if line and not line.startswith("# ")]
    sentences = [sentence for line in spoken for sentence in SENTENCE_END.split(line)]
    return {"glosses": glosses, "speeches": sentences, "film": list(read_film_sentences()[0].texts)}


def read_bert_pieces() -> tuple[str, ...]:
    """Returns the 30,522 pieces of Google's bert-base-uncased. Source: files/bert_vocab.md."""
    return read_pieces(read_file("bert_vocab.txt").decode())


def read_small_bert() -> tuple[dict[str, np.ndarray], dict[str, Any], tuple[str, ...]]:
    """Returns the book's own BERT: arrays in 8 bits with their scales, config.json, word pieces.

    How it was made: files/small_bert.md.
    """
    arrays, metadata = safetensors.parse(read_file("small_bert.safetensors"), "the book's BERT")
    return arrays, json.loads(metadata["config"]), read_pieces(metadata["pieces"])


def read_kinds() -> dict[str, bool]:
    """Returns 1,140 nouns: True for somebody alive, False for a thing. Source: wordnet_kinds.md."""
    lines = read_file("wordnet_kinds.tsv").decode().splitlines()
    return {word: kind == "animate" for word, kind in (line.split("\t") for line in lines)}
