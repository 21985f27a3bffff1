"""Ask Hugging Face's tokenizers and transformers, and keep their answers for ledger and tests.

    python tools/ask_transformers.py                # kerasbook/ledger/reference_bert.npz, …json
    python tools/ask_transformers.py --write DIR    # a BERT of theirs, in a folder for ours to read
    python tools/ask_transformers.py --read DIR     # the logits of a folder that ours has written

In an environment of its own, beside this package's sources: pip install tokenizers==0.23.3
transformers==5.24.0 torch==2.13.0 (the two libraries are oracles, and no dependency).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from kerasbook.data import wordpieces
from kerasbook.data.corpus import read_bert_pieces
from kerasbook.data.embedded import FILES
from kerasbook.data.film import read_film_sentences
from kerasbook.testing import strings

import numpy as np
import tokenizers
import torch
import transformers
from tokenizers import BertWordPieceTokenizer
from tokenizers.models import WordPiece
from tokenizers.trainers import WordPieceTrainer
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification

LEDGER = Path(__file__).resolve().parent.parent / "kerasbook" / "ledger"
SIZES = {
    "vocab_size": 40, "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3,
    "intermediate_size": 20, "max_position_embeddings": 9, "type_vocab_size": 2,
}  # fmt: skip
FUZZED = 20_000
SENTENCES = ("The film's [MASK] isn't naïve.", "日本語 and ελλάς!", "unaffable — 3.14 %", "a" * 101)


def ask_tokenizers() -> dict:
    """Return what the reference makes of film sentences, fuzzed strings, each character."""
    tokenizer = BertWordPieceTokenizer(str(FILES / "bert_vocab.txt"), lowercase=True)
    films = [text for part in read_film_sentences() for text in part.texts]
    fuzz = strings.fuzzed(FUZZED)
    wrapped = tokenizer._tokenizer
    plain = {name: ids(wrapped, texts) for name, texts in (("films", films), ("fuzz", fuzz))}
    counts = {name: len(rows) for name, rows in plain.items()}
    digests = {name: strings.digest(rows) for name, rows in plain.items()}
    wrapped.add_special_tokens(list(wordpieces.SPECIAL))
    return {
        "tokenizers": tokenizers.__version__,
        "counts": counts,
        "digests": digests | {"strings": strings.digest(fuzz)},
        "special": {text: ids(wrapped, [text])[0] for text in SENTENCES},
        "differ": differing(tokenizer),
        "trained": trained(films),
    }


def ids(tokenizer, texts: list[str]) -> list[list[int]]:
    """Return the numbers of the pieces of each text, without [CLS] and [SEP]."""
    return [each.ids for each in tokenizer.encode_batch(texts, add_special_tokens=False)]


def differing(tokenizer) -> dict[str, int]:
    """Return how many of all characters the two cut differently, by why."""
    normal, before = tokenizer._tokenizer.normalizer, tokenizer._tokenizer.pre_tokenizer
    found = {"ideographs from U+2B820": 0, "in Unicode 3.2": 0, "newer": 0, "all": 0}
    old = set(strings.old_characters()) | set(map(chr, strings.CHANGED))
    for character in map(chr, (*range(0xD800), *range(0xE000, 0x110000))):
        text = f"a{character}b"
        theirs = [word for word, _ in before.pre_tokenize_str(normal.normalize_str(text))]
        found["all"] += 1
        if theirs != wordpieces.split_words(text):
            slip = 0x2B820 <= ord(character) < 0x2B920
            kind = "in Unicode 3.2" if character in old else "newer"
            found["ideographs from U+2B820" if slip else kind] += 1
    return found


def trained(texts: list[str], size: int = 400) -> list[str]:
    """Return the pieces that the reference's trainer makes of texts, sorted."""
    tokenizer = tokenizers.Tokenizer(WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    options = {"special_tokens": list(wordpieces.SPECIAL), "show_progress": False}
    tokenizer.train_from_iterator(texts, WordPieceTrainer(vocab_size=size, **options))
    return sorted(tokenizer.get_vocab())


def random_weights(model, seed: int) -> None:
    """Give a model weights far from those that it begins with, all norms included."""
    random = np.random.default_rng(seed)
    state = {}
    for name, value in model.state_dict().items():
        centre = 1.5 * ("LayerNorm.weight" in name)
        state[name] = torch.tensor(random.normal(centre, 0.5, tuple(value.shape)))
    tied = {"weight": "bert.embeddings.word_embeddings.weight", "bias": "cls.predictions.bias"}
    for side, other in tied.items():
        if f"cls.predictions.decoder.{side}" in state:
            state[f"cls.predictions.decoder.{side}"] = state[other]
    model.double().eval().load_state_dict(state)


def ask_transformers() -> dict[str, np.ndarray]:
    """Return weights, four rows of pieces, segments, and the logits of two models in float64."""
    random = np.random.default_rng(0)
    pieces = random.integers(5, 40, (4, 9))
    for row, length in zip(pieces, (9, 6, 3, 1)):
        row[length:] = 0
    segments = (np.arange(9) > random.integers(0, 9, (4, 1))).astype("int64")
    kept = {"pieces": pieces, "segments": segments}
    for name, kind in (("masked", BertForMaskedLM), ("classes", BertForSequenceClassification)):
        model = kind(BertConfig(**SIZES, num_labels=3))
        random_weights(model, seed=len(name))
        inputs = {"input_ids": pieces, "token_type_ids": segments, "attention_mask": pieces != 0}
        with torch.no_grad():
            outputs = model(**{key: torch.tensor(value) for key, value in inputs.items()})
        kept[f"{name} logits"] = outputs.logits.numpy()
        for key, value in model.state_dict().items():
            if "decoder" not in key:
                kept[f"{name}/{key}"] = value.numpy()
    return kept


def main() -> None:
    """Ask, and write the answers; or exchange a folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", metavar="DIR", type=Path)
    parser.add_argument("--read", metavar="DIR", type=Path)
    options = parser.parse_args()
    print(f"transformers {transformers.__version__}, torch {torch.__version__}")
    if options.write:
        write(options.write)
    elif options.read:
        read(options.read)
    else:
        np.savez_compressed(LEDGER / "reference_bert.npz", **ask_transformers())
        text = json.dumps(ask_tokenizers(), indent=1, ensure_ascii=True)
        (LEDGER / "reference_pieces.json").write_text(text + "\n")
        print(text[:900])


def write(folder: Path) -> None:
    """Write a random BertForMaskedLM in 32 bits, BERT's vocabulary, and its logits."""
    sizes = SIZES | {"vocab_size": len(read_bert_pieces())}
    model = BertForMaskedLM(BertConfig(**sizes))
    random_weights(model, seed=0)
    model.float().save_pretrained(folder)
    (folder / "vocab.txt").write_bytes((FILES / "bert_vocab.txt").read_bytes())
    np.save(folder / "logits.npy", logits_of(model))


def read(folder: Path) -> None:
    """Print whether transformers finds all weights, and how far its logits are from ours."""
    model, report = BertForMaskedLM.from_pretrained(folder, output_loading_info=True)
    print({name: list(each) for name, each in report.items()})
    tokenizer = transformers.BertTokenizer.from_pretrained(folder)
    print(tokenizer.tokenize("The film is not dull."))
    theirs, ours = logits_of(model), np.load(folder / "logits.npy")
    print(f"{theirs.size:,} logits, largest difference {np.abs(theirs - ours).max():.1e}, "
          f"largest logit {np.abs(ours).max():.1f}")  # fmt: skip


def logits_of(model) -> np.ndarray:
    """Return the logits of pieces 5 to 12."""
    with torch.no_grad():
        return model.eval()(torch.arange(5, 13)[None]).logits.numpy()


if __name__ == "__main__":
    main()
