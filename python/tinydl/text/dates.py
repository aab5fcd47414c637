"""Dates as people write them in English, and their ISO form: "Tuesday, 3 March 1987" is 1987-03-03.

A small real task for models that turn one sequence of characters into another. Case does not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Protocol

import numpy as np

from .. import backend, creation, random
from ..tensor import Array, Tensor
from ..utils.data.permutation import permutation

__all__ = ["DAY_BEYOND_12", "FORMS", "PARTS", "VOCABULARY_SIZE", "decode", "encode", "pairs", "translate", "write"]

FIRST, LAST = date(1900, 1, 1), date(2099, 12, 31)

FORMS = (
    "{day} {month} {year}",
    "{dd} {mon} {year}",
    "{day}-{mon}-{year}",
    "{nth} {month} {year}",
    "{nth} of {month} {year}",
    "{nth} of {abbr} {year}",
    "the {nth} of {month}, {year}",
    "the {ordinal} of {month} {year}",
    "the {ordinal} of {month}, {spoken}",
    "{month} {day}, {year}",
    "{month} {nth}, {year}",
    "{mon} {day} {year}",
    "{abbr} {day}, {year}",
    "{month} the {ordinal}, {spoken}",
    "{month} {ordinal}, {counted}",
    "{weekday}, {day} {month} {year}",
    "{weekday}, {month} {day}, {year}",
    "{weekday} the {nth} of {month} {year}",
    "{weekday}, the {ordinal} of {month}, {spoken}",
    "{wday} {day} {mon} {year}",
    "{wday}, {nth} {abbr} {year}",
    "{year} {month} {day}",
    "{year}, {month} the {nth}",
    "{year}/{mm}/{dd}",
)
"""The ways to write a date, as format strings of the names that `write` knows."""

DAY_BEYOND_12 = ("{m}/{day}/{year}", "{mm}/{dd}/{year}", "{day}/{m}/{year}", "{dd}.{mm}.{year}", "{mm}-{dd}-{year}")
"""Further ways, of days that cannot be months."""

# -- Writing ----------------------------------------------------------------------------------------------------

_MONTHS = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
]  # fmt: skip
_WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_ONES = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
_TENS = ["-", "-", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_IRREGULAR = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}


def _number(n: int) -> str:
    """A number below 100 in words."""
    if n < 20:
        return _ONES[n]
    return _TENS[n // 10] + (f"-{_ONES[n % 10]}" if n % 10 else "")


def _ordinal(n: int) -> str:
    """twenty-first for 21."""
    tens, _, last = _number(n).rpartition("-")
    regular = last[:-1] + "ieth" if last.endswith("y") else last + "th"
    last = _IRREGULAR.get(last, regular)
    return f"{tens}-{last}" if tens else last


def _nth(n: int) -> str:
    """21st for 21."""
    ending = "th" if n in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"


def _spoken(year: int) -> str:
    """A year in two parts: nineteen eighty-seven, nineteen oh five, two thousand three."""
    century, rest = divmod(year, 100)
    if century == 20 and rest < 10:
        return "two thousand" + (f" {_ONES[rest]}" if rest else "")
    if not rest:
        return f"{_number(century)} hundred"
    return f"{_number(century)} {_number(rest) if rest > 9 else f'oh {_ONES[rest]}'}"


def _counted(year: int) -> str:
    """A year with its hundreds: nineteen hundred and eighty-seven, two thousand and three."""
    century, rest = divmod(year, 100)
    start = "two thousand" if century == 20 else f"{_number(century)} hundred"
    return f"{start} and {_number(rest)}" if rest else start


def write(day: date, form: str) -> str:
    """A date in one of the forms.

    The names of a form are day, dd, nth, ordinal (3, 03, 3rd, third); month, mon, abbr, m, mm (March, Mar, Mar., 3,
    03); year, spoken, counted (1987, nineteen eighty-seven, nineteen hundred and eighty-seven); weekday, wday (Tuesday,
    Tue).

    >>> write(date(1987, 3, 3), "{weekday}, the {ordinal} of {month}, {spoken}")
    'Tuesday, the third of March, nineteen eighty-seven'
    """
    month, weekday = _MONTHS[day.month - 1], _WEEKDAYS[day.weekday()]
    return form.format(
        day=day.day,
        dd=f"{day.day:02}",
        nth=_nth(day.day),
        ordinal=_ordinal(day.day),
        month=month,
        mon=month[:3],
        abbr=month if month == "May" else f"{month[:3]}.",
        m=day.month,
        mm=f"{day.month:02}",
        year=day.year,
        spoken=_spoken(day.year),
        counted=_counted(day.year),
        weekday=weekday,
        wday=weekday[:3],
    )


# -- The data ---------------------------------------------------------------------------------------------------

PARTS = {"test": slice(0, 1000), "validation": slice(1000, 2000), "train": slice(2000, None)}
"""Which dates belong to which part, in the random order of a seed."""


def pairs(part: str, count: int, seed: int = 0) -> list[tuple[str, str]]:
    """(written, ISO) of `count` dates from 1900 to 2099, each in a form drawn at random.

    Args:
        part: "train", "validation" or "test"; no date is in two of them.
        count: how many; beyond the part's dates they come again, in other forms.
        seed: of the parts and of the forms.

    Raises ValueError for another part, or a negative count.

    >>> pairs("test", 2)
    [('10/17/2095', '2095-10-17'), ('11/16/2072', '2072-11-16')]
    """
    if part not in PARTS:
        raise ValueError(f"pairs: got part {part!r}, wanted one of {', '.join(PARTS)}")
    if count < 0:
        raise ValueError(f"pairs: got count={count}, wanted at least 0")
    order = permutation((LAST - FIRST).days + 1, seed)[PARTS[part]]
    generator = random.Generator(seed + 1 + list(PARTS).index(part))
    draws = creation.uniform((count,), 0.0, 1.0, "float64", generator).tolist()
    found = []
    for number, draw in enumerate(draws):
        day = FIRST + timedelta(int(order[number % len(order)]))
        forms = FORMS + DAY_BEYOND_12 if day.day > 12 else FORMS
        found.append((write(day, forms[int(draw * len(forms))]), day.isoformat()))
    return found


# -- Characters as numbers --------------------------------------------------------------------------------------

PAD, START, END = 0, 1, 2
ALPHABET = " ,-./0123456789abcdefghijklmnopqrstuvwxyz"
VOCABULARY_SIZE = 3 + len(ALPHABET)
LONGEST = 72
"""The most characters of a date in words; none of `FORMS` gives more."""
ISO_LENGTH = 10

_IDS = {character: 3 + number for number, character in enumerate(ALPHABET)}


def encode(texts: Sequence[str], end: bool = False) -> Array:
    """Texts as ids (N, S), int64, filled up to the longest with PAD; after each stands END if `end` is set.

    Raises ValueError for no texts, an empty one, one of more than 72 characters, or a character outside the vocabulary.

    >>> encode(["3 May", "4"], end=True)
    array([[11,  3, 30, 18, 42,  2],
           [12,  2,  0,  0,  0,  0]])
    """
    if not texts:
        raise ValueError("dates: got no texts, wanted one or more")
    rows = [_row(text) + [END] * end for text in texts]
    out = np.full((len(rows), max(map(len, rows))), PAD, np.int64)
    for number, row in enumerate(rows):
        out[number, : len(row)] = row
    return out


def _row(text: str) -> list[int]:
    lower = text.lower()
    if not lower or len(lower) > LONGEST:
        what = f"{len(lower)} characters" if lower else "an empty text"
        raise ValueError(f"dates: got {what}, wanted a date of 1 to {LONGEST} characters")
    try:
        return [_IDS[character] for character in lower]
    except KeyError as error:
        raise ValueError(f"dates: got {error} in {text!r}, wanted letters a to z, digits, spaces and , - . /") from None


def decode(ids: Array) -> list[str]:
    """The texts of ids (N, L): of each row what stands before its first END.

    >>> decode(encode(["3 May", "4"], end=True))
    ['3 may', '4']
    """
    texts = []
    for row in ids.tolist():
        row = row[: row.index(END)] if END in row else row
        texts.append("".join([ALPHABET[number - 3] for number in row if number >= 3]))
    return texts


class Translator(Protocol):
    """What can write the most likely target of a source."""

    def greedy(self, source: Tensor, longest: int) -> Tensor:
        """Ids (N, L) from ids (N, S), L at most `longest`."""


def translate(model: Translator, texts: Sequence[str]) -> list[str]:
    """The ISO forms of dates in words, by a model that learned them, such as `recipes.recipe("dates-seq2seq")` trains.

    Nothing makes the results dates but what the model learned.

    Raises:
        TypeError: `texts` is one text; put it into a list.
        ValueError: a text is empty, longer than 72 characters, or has a character that no form has.
    """
    if isinstance(texts, str):
        raise TypeError("translate: got one text, wanted a list of texts")
    parameters: Any = getattr(model, "parameters", tuple)()
    where = next((p.device for p in parameters), None)
    return decode(backend.to_host(model.greedy(Tensor(backend.place(encode(texts), where)), ISO_LENGTH + 1)._data))
