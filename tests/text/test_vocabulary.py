"""Vocabularies: round trips, hostile text, what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinydl
from tinydl.text import Characters, Vocabulary, Words

HOSTILE = ["a", "\n", "\r\n\r\n", "naïve Ω 漢字 🤖 e\u0301", "\0\x1b[31m", "x" * 100_000, "\u2028\u00a0\t", "\ud800"]


@given(st.text(min_size=1))
def test_characters_round_trip(text):
    vocabulary = Characters.of(text)
    ids = vocabulary.encode(text)
    assert ids.dtype == np.int64
    assert vocabulary.decode(ids) == text
    assert sorted({*ids.tolist()}) == list(range(len(vocabulary)))  # no id is idle


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_characters(text):
    vocabulary = Characters.of(text)
    assert vocabulary.decode(tinydl.tensor(vocabulary.encode(text))) == text
    assert len(vocabulary) == len(set(text))


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        ("Don't stop... (yet)!", "Don't stop... (yet)!"),
        ("one,two ;three", "one, two; three"),
        ("a  b\t c", "a b c"),
        ("end of line\n\n  next line", "end of line\n\nnext line"),
        ("well-known naïve 漢字", "well-known naïve 漢字"),
        ("[x] {y: 1}", "[x] {y: 1}"),
        ("=== title ===", "=== title ==="),
        ("", ""),
    ],
)
def test_words_read_well(text, decoded):
    vocabulary = Words.of(text or "word")
    assert vocabulary.decode(vocabulary.encode(text)) == decoded


@given(st.text(min_size=1))
def test_decoded_words_are_the_same_words(text):
    words = Words.split(text)
    if not words:
        with pytest.raises(ValueError, match="no words"):
            Words.of(text)
        return
    vocabulary = Words.of(text)
    again = vocabulary.decode(vocabulary.encode(text))
    assert [w for w in Words.split(again) if w[0].isalnum()] == [w for w in words if w[0].isalnum()]


def test_rare_words():
    text = "a a a b b c d"
    assert Words.of(text).tokens == ("<unk>", "a", "b", "c", "d")
    assert Words.of(text, min_count=2).tokens == ("<unk>", "a", "b")
    assert Words.of(text, max_size=3).tokens == ("<unk>", "a", "b")
    assert Words.of(text, min_count=9).tokens == ("<unk>",)
    vocabulary = Words.of(text, min_count=2)
    assert vocabulary.encode("b e a").tolist() == [2, 0, 1]
    assert vocabulary.decode([2, 0, 1]) == "b <unk> a"
    assert Words.of("<unk> x").encode("<unk>").tolist() != [0]  # three tokens like any others


def test_a_stream_goes_on_where_a_text_ended():
    vocabulary = Words.of("so far , so good .")
    so, comma, good, dot = (int(vocabulary.encode(w)[0]) for w in ("so", ",", "good", "."))
    assert list(vocabulary.stream([comma, so, good, dot], after=good)) == [",", " so", " good", "."]
    assert list(vocabulary.stream([so, good])) == ["so", " good"]
    assert list(vocabulary.stream([], after=so)) == []


@pytest.mark.parametrize("vocabulary", [Characters.of("hello\n"), Words.of("hello, you\nthere")])
def test_state(vocabulary):
    state = vocabulary.state_dict()
    again = Vocabulary.from_state(state)
    assert again == vocabulary
    assert hash(again) == hash(vocabulary)
    assert again != Characters.of("other")
    assert again != "hello"
    assert again.start == vocabulary.encode("\n")[0]
    assert repr(vocabulary) == f"{type(vocabulary).__name__}({len(vocabulary)} {vocabulary.unit}s)"


def test_start_without_lines():
    assert Characters.of("abc").start == 0


VOCABULARY = Characters.of("abc")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: VOCABULARY.encode("abxcy"), ValueError, "the character 'x' at position 2 is not among the voc.* 3"),
        (lambda: VOCABULARY.decode([0, 3]), IndexError, "id 3 is out of range for 3 characters"),
        (lambda: VOCABULARY.decode([-1]), IndexError, "id -1 is out of range"),
        (lambda: list(VOCABULARY.stream([0], after=7)), IndexError, "id 7 is out of range"),
        (lambda: Characters.of(""), ValueError, "Characters: got no tokens.*is the text empty"),
        (lambda: Characters(["a", "a"]), ValueError, "the token 'a' twice"),
        (lambda: Characters(["ab"]), ValueError, "the token 'ab', wanted single characters"),
        (lambda: Words(["a"]), ValueError, "the first token 'a', wanted '<unk>'"),
        (lambda: Words.of(" \t "), ValueError, "the text has no words"),
        (lambda: Words.of("a", min_count=0), ValueError, "min_count=0, wanted at least 1"),
        (lambda: Words.of("a", max_size=0), ValueError, "max_size=0, wanted at least 1"),
        (
            lambda: Vocabulary.from_state({"unit": "syllable", "tokens": ["a"]}),
            ValueError,
            "wanted a state of character",
        ),
        (lambda: Vocabulary.from_state({"unit": "word"}), ValueError, "wanted a state of character or word"),
        (lambda: Vocabulary.from_state(3), ValueError, "got 3"),
    ],
)
def test_wrong_calls(call, error, message):
    with pytest.raises(error, match=message):
        call()
