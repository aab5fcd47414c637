"""Dates in words: read back by rules of their own, and their characters as numbers."""

import datetime
import re

import numpy as np
import pytest

from tinydl.text import dates

UNITS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
TEENS = ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
CARDINALS = {word: n for n, word in enumerate(UNITS + TEENS, 1)} | {word: 20 + 10 * n for n, word in enumerate(TENS)}
ORDINALS = [
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
    "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth",
    "twentieth", "twenty-first", "twenty-second", "twenty-third", "twenty-fourth", "twenty-fifth", "twenty-sixth",
    "twenty-seventh", "twenty-eighth", "twenty-ninth", "thirtieth", "thirty-first",
]  # fmt: skip
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def year_in_words(words):
    """nineteen eighty-seven, nineteen oh five, two thousand (and) three, nineteen hundred and five."""
    numbers = [sum(CARDINALS[part] for part in word.split("-")) for word in words if word in CARDINALS or "-" in word]
    if "thousand" in words:
        return 2000 + sum(numbers[1:])
    return 100 * numbers[0] + sum(numbers[1:])


def read(text):
    """(year, month, day, weekday or None) that a text says."""
    digits = re.fullmatch(r"(\d+)[./-](\d+)[./-](\d+)", text)
    if digits:
        first, second, third = map(int, digits.groups())
        if first > 31:
            return first, second, third, None
        return (third, second, first, None) if first > 12 else (third, first, second, None)
    words = [word for word in re.split(r"[ ,.]+", text.lower()) if word not in ("the", "of", "and", "")]
    if len(words) == 1:  # 3-Mar-1987
        words = words[0].split("-")
    weekday = next((DAYS.index(w[:3]) for w in words if w.endswith("day") or (w[:3] in DAYS and len(w) == 3)), None)
    month = next(n for n, start in enumerate(MONTHS, 1) for w in words if re.fullmatch(f"{start}[a-z]*", w))
    year = next((int(w) for w in words if re.fullmatch(r"\d{4}", w)), None)
    day = next((int(re.sub("[a-z]", "", w)) for w in words if re.fullmatch(r"\d\d?(st|nd|rd|th)?", w)), None)
    if day is None:
        at = next(n for n, w in enumerate(words) if w in ORDINALS)
        day = ORDINALS.index(words[at]) + 1
    if year is None:
        at = max(n for n, w in enumerate(words) if w in ORDINALS or w[:3] in MONTHS)
        year = year_in_words(words[at + 1 :])
    return year, month, day, weekday


@pytest.mark.parametrize("form", dates.FORMS + dates.DAY_BEYOND_12)
def test_every_form_says_its_date(form):
    """Each 37th day of two centuries, which meets all days, months and years."""
    for number in range(0, (dates.LAST - dates.FIRST).days + 1, 37):
        day = dates.FIRST + datetime.timedelta(number)
        if form in dates.DAY_BEYOND_12 and day.day <= 12:
            continue
        text = dates.write(day, form)
        year, month, number, weekday = read(text)
        assert datetime.date(year, month, number) == day, text
        assert weekday in (None, day.weekday()), text
        assert len(text) <= dates.LONGEST
        assert set(text.lower()) <= set(dates.ALPHABET)


def test_names_and_numbers():
    day = datetime.date(2024, 2, 29)
    for form, code in [("{weekday} {wday}", "%A %a"), ("{dd} {mon} {month} {year}", "%d %b %B %Y"), ("{mm}", "%m")]:
        assert dates.write(day, form) == day.strftime(code)
    assert [dates.write(datetime.date(2024, 1, n), "{nth}") for n in (1, 2, 3, 4, 11, 12, 13, 21, 22, 23, 30)] == (
        ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "22nd", "23rd", "30th"]
    )
    years = [datetime.date(n, 1, 1) for n in (1900, 1905, 1987, 2000, 2003, 2010, 2099)]
    assert [dates.write(d, "{spoken}") for d in years] == [
        "nineteen hundred",
        "nineteen oh five",
        "nineteen eighty-seven",
        "two thousand",
        "two thousand three",
        "twenty ten",
        "twenty ninety-nine",
    ]
    assert dates.write(years[1], "{counted}") == "nineteen hundred and five"
    assert dates.write(years[4], "{counted}") == "two thousand and three"


# -- The parts --------------------------------------------------------------------------------------------------


def test_no_date_is_in_two_parts():
    every = (dates.LAST - dates.FIRST).days + 1
    parts = {"test": 1000, "validation": 1000, "train": every - 2000}
    found = {part: {iso for _, iso in dates.pairs(part, count)} for part, count in parts.items()}
    assert {part: len(each) for part, each in found.items()} == parts
    assert len(set.union(*found.values())) == every
    assert min(map(min, found.values())) == "1900-01-01"
    assert max(map(max, found.values())) == "2099-12-31"


def test_the_seed_fixes_the_pairs():
    assert dates.pairs("train", 50) == dates.pairs("train", 60)[:50]
    assert dates.pairs("train", 50, seed=1) != dates.pairs("train", 50)
    again = dates.pairs("test", 2000)
    assert [iso for _, iso in again[1000:]] == [iso for _, iso in again[:1000]]
    assert again[1000:] != again[:1000]
    for text, iso in again:
        assert datetime.date(*read(text)[:3]).isoformat() == iso


def test_all_forms_come():
    """Texts with their letters and digits replaced show which form they have."""
    shapes = {re.sub("[0-9]+", "0", re.sub("[A-Za-z]+", "a", text)) for text, _ in dates.pairs("train", 5000)}
    assert {"0/0/0", "0.0.0", "0-0-0", "0-a-0", "a, 0 a 0", "a 0a, 0", "a a a-a, a a-a", "0, a a 0a"} <= shapes


@pytest.mark.parametrize(
    ("args", "message"),
    [(("dev", 1), "pairs: got part 'dev', wanted one of test, validation, train"), (("test", -1), "count=-1")],
)
def test_wrong_pairs(args, message):
    with pytest.raises(ValueError, match=message):
        dates.pairs(*args)


# -- Characters -------------------------------------------------------------------------------------------------


def test_encode_and_decode():
    texts = ["3rd of Mar. 1987", "12/25/1999", "x"]
    ids = dates.encode(texts, end=True)
    assert ids.dtype == np.int64
    assert ids.shape == (3, 17)
    assert (ids == dates.PAD).sum(1).tolist() == [0, 6, 15]
    assert [row[(row != dates.PAD).sum() - 1] for row in ids] == [dates.END] * 3
    assert dates.decode(ids) == [text.lower() for text in texts]
    assert dates.decode(dates.encode(texts)) == [text.lower() for text in texts]
    assert ids.max() < dates.VOCABULARY_SIZE


class Echo:
    """A model that answers with what it was asked."""

    def greedy(self, source, longest):
        assert longest == 11
        return source


def test_translate():
    assert dates.translate(Echo(), ["1987-03-03", "May"]) == ["1987-03-03", "may"]


@pytest.mark.parametrize(
    ("texts", "error", "message"),
    [
        ("3 May 1987", TypeError, "got one text, wanted a list"),
        ([], ValueError, "got no texts"),
        (["3 May", ""], ValueError, "got an empty text, wanted a date of 1 to 72 characters"),
        (["1" * 73], ValueError, "got 73 characters, wanted a date of 1 to 72 characters"),
        (["3 März 1987"], ValueError, "got 'ä' in '3 März 1987', wanted letters a to z"),
        (["3 May\n1987"], ValueError, "wanted letters a to z, digits, spaces"),
    ],
)
def test_wrong_texts(texts, error, message):
    with pytest.raises(error, match=message):
        dates.translate(Echo(), texts)
