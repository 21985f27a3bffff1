"""Numbers in English and Chinese text, by their values: "12,000" is "1.2 万", "sixteen" is "16"."""

from __future__ import annotations

import re
from decimal import Decimal

ONES = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
ONES += "sixteen seventeen eighteen nineteen"
TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
WORDS = {word: number for number, word in enumerate(ONES.split(), start=1)}
WORDS |= {word: 10 * number for number, word in enumerate(TENS.split(), start=2)}
WORDS |= {f"{t}-{o}": WORDS[t] + WORDS[o] for t in TENS.split() for o in ONES.split()[:9]}
MONTHS = "January February March April May June July August September October November December"
# What may be a digit in Chinese though English has a word that is no number of things.
LOOSE = {"half": 2, "once": 1, "twice": 2, "double": 2, "doubled": 2, "doubles": 2, "third": 3}
LOOSE |= {"a": 1, "an": 1, "single": 1, "first": 1, "second": 2, "both": 2, "quarter": 4, "no": 0}
LOOSE |= {"zero": 0, "zeros": 0, "fourth": 4, "fifth": 5, "tenth": 10, "dozen": 12, "halves": 2}
LOOSE |= {month.lower(): number for number, month in enumerate(MONTHS.split(), start=1)}
SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
UNITS = {"十": 10, "百": 100, "千": 1000, "万": 10**4, "亿": 10**8}
DIGITS = {digit: number for number, digit in enumerate("零一二三四五六七八九")} | {"两": 2, "〇": 0}

NUMBER = r"(?<![A-Za-z_\d.])(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?![A-Za-z_\d])"
ENGLISH = re.compile(
    rf"({NUMBER}|\b(?:{'|'.join(sorted(WORDS, key=len, reverse=True))})\b)?"
    rf"[ -]?((?:\b(?:{'|'.join(SCALES)})s?\b ?)*)",
    re.IGNORECASE,
)
CHINESE = re.compile(rf"({NUMBER}) ?([百千]?[万亿]*|[百千])")
NUMERAL = re.compile(r"[一二两三四五六七八九十][零〇一二两三四五六七八九十百千万亿]*")


def decimal(text: str) -> Decimal:
    """Returns the value of a number in digits: "1,050" is 1050."""
    return Decimal(text.replace(",", "")).normalize()


def of_english(text: str) -> tuple[set[Decimal], set[Decimal]]:
    """Returns the numbers that a translation must have, and those that it may have.

    Digits must be kept, and words from eleven up; "one" to "ten", "half", "second" and months may
    be digits or not.
    """
    must, may, text = set(), set(), " ".join(text.split())
    for match in ENGLISH.finditer(text):
        number, scales = match[1], re.findall("|".join(SCALES), match[2].lower())
        if not number and not scales:
            continue
        value = decimal(number) if number and number[0].isdigit() else None
        value = value if value is not None else Decimal(WORDS[number.lower()] if number else 1)
        for scale in scales:
            value *= SCALES[scale]
        is_word = not number or not number[0].isdigit()
        (may if is_word and (value <= 10 or not number) else must).add(value.normalize())
    words = re.findall(r"[a-z]+", text.lower())
    return must, may | {Decimal(LOOSE[word]).normalize() for word in words if word in LOOSE}


def of_chinese(text: str) -> tuple[set[Decimal], set[Decimal]]:
    """Returns the numbers in digits, and those in characters: 十六."""
    digits = set()
    for number, units in CHINESE.findall(text):
        value = decimal(number)
        for unit in units:
            value *= UNITS[unit]
        digits.add(value.normalize())
    return digits, {Decimal(value_of(match[0])).normalize() for match in NUMERAL.finditer(text)}


def value_of(numeral: str) -> int:
    """Returns the value of a number in characters.

    >>> value_of("十六"), value_of("三百二十"), value_of("两万五千"), value_of("八十亿")
    (16, 320, 25000, 8000000000)
    """
    total = section = digit = 0
    for character in numeral:
        if character in DIGITS:
            digit = DIGITS[character]
        elif UNITS[character] < 10**4:
            section += (digit or 1) * UNITS[character]
            digit = 0
        else:
            total = (total + section + digit or 1) * UNITS[character]
            section = digit = 0
    return total + section + digit


def differences(english: str, chinese: str) -> list[str]:
    """Returns a line for each number that only one of the two has."""
    must, may = of_english(english)
    digits, numerals = of_chinese(chinese)
    missing = must - digits - numerals
    known = must | may
    extra = {value for value in digits - known}
    extra |= {value for value in numerals - known if value > 10}
    return [f"the number {value:f} is missing" for value in sorted(missing)] + [
        f"the number {value:f} is not in the English" for value in sorted(extra)
    ]
