"""WordPiece: the longest piece first."""

from kerasbook.exercises import Case, Exercise

exercise = Exercise(
    chapter=7,
    minutes=15,
    difficulty=2,
    points=2,
    kind="function",
    hints=[
        "Two loops: the outer one goes through the word, the inner one tries ends, from the word's "
        "end down. What has a piece before it that does not begin the word?",
        "If no end fits, the whole word is unknown, also what has been found of it before.",
        "while start < len(word): for end in range(len(word), start, -1): "
        "if ('##' if start else '') + word[start:end] in number: append, start = end, break; else: "
        "return [unknown].",
    ],
)


@exercise.stub
def longest_pieces(word, pieces, unknown, longest):
    """Cut a word into word pieces and return their numbers.

    Take the longest piece with which the word begins, then the longest with which the rest begins,
    and so on. A piece for the inside of a word has ## before it in the list, and only such a piece
    may stand there. A word that cannot be made so is [unknown] as a whole; and so is one of more
    than `longest` letters. No way back is tried: if the longest piece leads nowhere, the word is
    unknown, even if a shorter one would have done.

    Practises: chapter 7, "Word pieces".

    Args:
        word: a string of 1 or more letters.
        pieces: list of strings; the number of a piece is its place.
        unknown, longest: whole numbers.

    Returns:
        (m,) int array or list, the numbers of the pieces.
    """
    raise NotImplementedError


PIECES = [
    "[UNK]",
    "a",
    "b",
    "##a",
    "##b",
    "##c",
    "ab",
    "##bc",
    "abc",
    "##ca",
    "##abca",
    "c##",
    "cab",
]


@exercise.public
def examples(random):
    pieces = ["[UNK]", "un", "##aff", "##able", "##a", "affable", "una"]
    rest = {"pieces": pieces, "unknown": 0, "longest": 20}
    yield Case(
        "a word of three", {"word": "unaffable", "pieces": pieces[:-1], "unknown": 0, "longest": 20}
    )
    yield Case("the longest leads nowhere", {"word": "unaffable", **rest})


@exercise.hidden
def drawn(random):
    rest = {"pieces": PIECES, "unknown": 0, "longest": 12}
    for number in range(12):
        word = "".join(random.choice(list("abc"), random.integers(1, 10)))
        yield Case(f"letters {number}", {"word": word, **rest})
    yield Case("as long as may be", {"word": "abcabcabcabc", **rest})
    yield Case("a letter more", {"word": "abcabcabcabca", **rest})
    yield Case("its end is unknown", {"word": "abcad", **rest})
    yield Case(
        "the number of unknown", {"word": "xyz", "pieces": PIECES, "unknown": 7, "longest": 9}
    )
    yield Case("begins as an inner piece", {"word": "ca", **rest})


@exercise.reference
def solution(word, pieces, unknown, longest):
    if len(word) > longest:
        return [unknown]
    number = {piece: place for place, piece in enumerate(pieces)}
    found, start = [], 0
    while start < len(word):
        for end in range(len(word), start, -1):
            piece = ("##" if start else "") + word[start:end]
            if piece in number:
                break
        else:
            return [unknown]
        found.append(number[piece])
        start = end
    return found


@exercise.right
def recursive(word, pieces, unknown, longest):
    def cut(rest, mark):
        if not rest:
            return []
        for end in range(len(rest), 0, -1):
            if mark + rest[:end] in pieces:
                after = cut(rest[end:], "##")
                return None if after is None else [pieces.index(mark + rest[:end]), *after]
        return None

    found = cut(word, "") if len(word) <= longest else None
    return [unknown] if found is None else found


@exercise.right
def by_fitting_pieces(word, pieces, unknown, longest):
    found = []
    while word and len(word) <= longest:
        inner = len(found) > 0
        fits = [
            p for p in pieces if p.startswith("##") == inner and word.startswith(p[2 * inner :])
        ]
        fits = [p for p in fits if len(p) > 2 * inner]
        if not fits:
            return [unknown]
        best = max(fits, key=len)
        found.append(pieces.index(best))
        word = word[len(best) - 2 * inner :]
    return [unknown] if word else found


@exercise.right
def shrinking(word, pieces, unknown, longest):
    number, found, rest = {p: i for i, p in enumerate(pieces)}, [], word
    while rest:
        part = rest
        while part and ("##" * bool(found) + part) not in number:
            part = part[:-1]
        if not part or len(word) > longest:
            return [unknown]
        found.append(number["##" * bool(found) + part])
        rest = rest[len(part) :]
    return found


exercise.mistake(
    "shortest_first",
    "The shortest piece that fits is taken. Try the ends from the far end of the word down.",
    old="range(len(word), start, -1)",
    new="range(start + 1, len(word) + 1)",
)
exercise.mistake(
    "only_the_rest_unknown",
    "A word with a part that cannot be made is unknown as a whole: the pieces before it go, too.",
    old="            return [unknown]\n        found",
    new="            return [*found, unknown]\n        found",
)
exercise.mistake(
    "no_marks",
    "Inside of a word only pieces with ## before them may stand; here any piece may.",
    old='("##" if start else "") + word[start:end]\n',
    new='word[start:end]\n            piece = "##" * (start > 0 and "##" + piece in number) + piece'
    "\n",
)
exercise.mistake(
    "ways_back",
    "A shorter piece is tried where the longest leads nowhere. BERT does not go back.",
    old="    found, start = [], 0\n",
    new="""    def cut(start):
        if start == len(word):
            return []
        for end in range(len(word), start, -1):
            piece = ("##" if start else "") + word[start:end]
            if piece in number and (after := cut(end)) is not None:
                return [number[piece], *after]
        return None

    return cut(0) or [unknown]
    found, start = [], 0
""",
)
exercise.mistake("one_too_long", old="len(word) > longest", new="len(word) >= longest")
exercise.mistake("no_limit", old="len(word) > longest", new="len(word) > 100")
exercise.mistake(
    "unknown_is_zero",
    old="        else:\n            return [unknown]",
    new="        else:\n            return [0]",
)
exercise.mistake(
    "places_from_one", old="found.append(number[piece])", new="found.append(1 + number[piece])"
)
