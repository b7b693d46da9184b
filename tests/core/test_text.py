"""Text as word numbers: what is read, what is refused, and which words a network is shown."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from untrained.core import text as module
from untrained.core.errors import BadText, UsageError
from untrained.core.text import Corpus, load
from untrained.spaces.rnn_cell import RnnCell


def written(tmp_path, content, name="corpus.txt"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# --- files ---------------------------------------------------------------------------------------------


def test_a_good_file_is_read_as_it_is(tmp_path):
    content = "The cat sat.\nThe dog, too — naïve.\n"
    path = written(tmp_path, content)
    found = load(path)
    assert found.text == content
    assert found.name == f"the text {path}"
    assert found.sha256 == hashlib.sha256(content.encode()).hexdigest()
    assert found.words[:6] == ["The", "cat", "sat", ".", "\n", "The"]
    assert load(str(path)).words == found.words


BAD = {
    "empty": (b"", "is empty"),
    "white space only": (b" \n\t\r\n  ", "is empty"),
    "binary": (b"\x7fELF\x02\x01\x01\0\0\0 some words", "is binary"),
    "utf-16": ("zwei Wörter".encode("utf-16"), "is binary|not UTF-8"),
    "latin-1": ("ein schöner Tag\n".encode("latin-1") * 50, "not UTF-8: byte 0xf6 at 7"),
    "cut in mid-character": ("schö".encode()[:-1], "not UTF-8"),
}


@pytest.mark.parametrize(("content", "words"), BAD.values(), ids=list(BAD))
def test_a_file_that_cannot_serve_is_named_with_what_is_wrong(tmp_path, content, words):
    path = written(tmp_path, content)
    with pytest.raises(BadText, match=words) as error:
        load(path)
    assert str(path) in str(error.value)
    assert "\n  " in str(error.value)  # what to type next
    assert isinstance(error.value, UsageError)


def test_a_file_that_is_missing_or_a_folder_is_named(tmp_path):
    with pytest.raises(BadText, match=r"cannot read the text .*nowhere\.txt: No such file"):
        load(tmp_path / "nowhere.txt")
    with pytest.raises(BadText, match=r"cannot read the text .*: Is a directory"):
        load(tmp_path)


def test_a_file_that_comes_late_is_read_then(tmp_path):
    path = tmp_path / "later.txt"
    with pytest.raises(BadText):
        load(path)
    path.write_text("here now")
    assert load(path).words == ["here", "now"]


def test_a_byte_order_mark_is_not_a_word(tmp_path):
    plain, marked = written(tmp_path, "one two", "a"), written(tmp_path, "\ufeffone two", "b")
    assert load(marked).text == load(plain).text == "one two"
    with pytest.raises(BadText, match="too short: 0 words"):
        load(written(tmp_path, "\ufeff", "c")).columns(10, 1, 1)


@pytest.mark.parametrize("largest", range(8, 20))
def test_a_huge_file_is_cut_even_in_mid_character(tmp_path, monkeypatch, largest):
    monkeypatch.setattr(module, "LARGEST", largest)
    content = "añ€😀 " * 5  # characters of one to four bytes
    found = load(written(tmp_path, content)).text
    assert content.startswith(found)
    assert largest - 3 <= len(found.encode()) <= largest


def test_a_huge_file_with_a_bad_byte_is_still_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 20)
    with pytest.raises(BadText, match="not UTF-8: byte 0xff at 3"):
        load(written(tmp_path, b"abc\xffdefghijklmnopqrstuvwxyz"))


def test_a_file_of_exactly_the_largest_size_is_not_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 5)
    with pytest.raises(BadText, match="not UTF-8"):  # its own mistake, not our cut
        load(written(tmp_path, "abc€".encode()[:5]))


def test_a_file_that_was_changed_is_read_again(tmp_path):
    path = written(tmp_path, "the first text")
    assert load(path).words == ["the", "first", "text"]
    written(tmp_path, "another text of more words")
    assert load(path).words == ["another", "text", "of", "more", "words"]


# --- words ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't stop", ["Don", "'", "t", "stop"]),
        ("<unk> of <eos>", ["<unk>", "of", "<eos>"]),
        ("3.14 $100", ["3", ".", "14", "$", "100"]),
        ("two\nlines\r\n", ["two", "\n", "lines", "\n"]),
        ("naïve Ärger в лесу", ["naïve", "Ärger", "в", "лесу"]),
        ("我们 学习。", ["我", "们", "学", "习", "。"]),
        ("ひらカナ한글", ["ひ", "ら", "カ", "ナ", "한", "글"]),
        ("  \t ", []),
    ],
)
def test_words_marks_and_line_ends(text, words):
    assert Corpus(text, "").words == words


def test_cjk_after_latin_letters_or_digits_is_still_single_characters():
    assert Corpus("在2024年用Python学习", "").words == ["在", "2024", "年", "用", "Python", "学", "习"]


def test_a_text_without_spaces_has_enough_words():
    corpus = Corpus("天地玄黄宇宙洪荒日月盈昃辰宿列张" * 50, "poem")
    assert len(corpus.words) == 800
    assert corpus.columns(100, 4, 100).max() <= 16


# --- columns -------------------------------------------------------------------------------------------

texts = st.lists(st.sampled_from("abcdefghijklmnop"), min_size=30, max_size=90).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(texts, st.integers(1, 20), st.integers(1, 5), st.integers(1, 6), st.integers(0, 10**9))
def test_columns_are_stretches_of_the_text(text, vocabulary, sequences, length, shift):
    words = text.split()
    found = Corpus(text, "").columns(vocabulary, sequences, length, shift=shift)
    assert found.shape == (sequences, length)
    assert found.dtype == np.int64
    assert found.min() >= 0
    assert found.max() < vocabulary
    often = sorted(set(words), key=lambda w: (-Counter(words)[w], w))
    number = {w: i for i, w in enumerate(often, start=1)}
    column = len(words) // sequences
    start = shift % (column - length + 1)
    for b, row in enumerate(found):
        stretch = words[b * column + start : b * column + start + length]
        assert row.tolist() == [number[w] if number[w] < vocabulary else 0 for w in stretch]


def test_the_same_words_whatever_the_shift():
    corpus = load()
    every = {shift: corpus.columns(2_000, 10, 30, shift=shift) for shift in (0, 1, 9_973)}
    assert np.array_equal(every[0][:, 1:], every[1][:, :-1])
    assert not np.array_equal(every[0], every[9_973])
    again = Corpus(corpus.text, "").columns(2_000, 10, 30, shift=9_973)
    assert np.array_equal(again, every[9_973])


def test_a_text_that_is_too_short_is_told_with_the_numbers(tmp_path):
    path = written(tmp_path, "only five words of text")
    with pytest.raises(BadText, match="is too short: 5 words, and 2 sequences of 3 take 6") as error:
        load(path).columns(100, 2, 3)
    assert str(path) in str(error.value)
    assert "--text FILE" in str(error.value)
    assert load(path).columns(100, 1, 5).shape == (1, 5)
    with pytest.raises(BadText, match="50 sequences of 36 take 1800"):
        load(path).columns(100, 50, 36)


# --- the text that Python ships ------------------------------------------------------------------------


@pytest.mark.parametrize("scale", RnnCell.scales)
def test_the_shipped_text_is_long_enough_for_every_scale(scale):
    shape = RnnCell().shape(scale)
    corpus = load()
    assert corpus.name == "the text that Python ships"
    assert corpus.sha256 == ""
    windows = {
        corpus.columns(shape.vocabulary, shape.sequences, shape.length + 1, shift=9_973 * seed).tobytes()
        for seed in range(20)
    }
    assert len(windows) == 20
    found = corpus.columns(shape.vocabulary, shape.sequences, shape.length + 1)
    assert (found > 0).mean() > 0.9  # few rare words


def test_it_is_read_once():
    assert load() is load()
