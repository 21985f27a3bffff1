"""Texts without labels, for pretraining: glosses of a dictionary, speeches, film sentences."""

from __future__ import annotations

import lzma
import re

from kerasbook.data.embedded import read_file
from kerasbook.data.film import read_film_sentences
from kerasbook.data.wordpieces import read_pieces

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
