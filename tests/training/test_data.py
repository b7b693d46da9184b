"""Texts as tokens: order, splits, bad files; tokenizers and data sets in their own layouts."""

import math
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
from toys import language, words

from untrained.core.errors import BadText, UsageError
from untrained.training.data import sets
from untrained.training.data.baselines import PRIORS, baselines
from untrained.training.data.language import BLOCK, from_files, read
from untrained.training.data.tokenizer import Bytes, tokenizer

# --- order ----------------------------------------------------------------------------------------------


def test_each_pass_takes_every_window_once_in_its_own_order(tmp_path):
    (tmp_path / "a.txt").write_bytes(bytes(range(1, 127)) * 2)
    data = from_files(tmp_path / "a.txt", Bytes(), held_out=0.2)
    each = data.windows(10)
    rows = [data.batch(step, 4, 10, 7) for step in range(each)]  # four passes
    flat = torch.cat(rows).reshape(4, each, 11)
    passes = [sorted(int(row[0]) for row in one) for one in flat]
    starts = [np.unique(one) for one in passes]
    assert all(len(one) == each for one in passes)
    assert all(len(s) > each // 2 for s in starts)
    assert not torch.equal(flat[0], flat[1])
    for row in torch.cat(rows):
        assert bytes(row.tolist()) in bytes(data.train.ids)


def test_batches_depend_on_the_seed_alone_in_any_process(tmp_path):
    data = language(tmp_path, 500)
    code = (
        "from untrained.training.data.language import from_files\n"
        "from untrained.training.data.tokenizer import Bytes\n"
        f"d = from_files({str(tmp_path / 'text.txt')!r}, Bytes())\n"
        "print(d.batch(30, 4, 16, 5).tolist(), d.fingerprint)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == f"{data.batch(30, 4, 16, 5).tolist()} {data.fingerprint}"
    assert not torch.equal(data.batch(30, 4, 16, 5), data.batch(30, 4, 16, 6))


def test_an_exam_covers_the_held_out_text_or_an_even_part_of_it(tmp_path):
    data = language(tmp_path, 500)
    whole = torch.cat(list(data.exam(3, 16)))
    held = data.held_out.ids
    assert len(whole) == (len(held) - 1) // 16
    assert whole[1, 0] == whole[0, -1] == held[16]
    part = torch.cat(list(data.exam(3, 16, most=4)))
    assert len(part) == 4
    assert torch.equal(part[0], whole[0])
    assert torch.equal(part[2], whole[len(whole) // 2])


def test_the_end_of_a_text_is_held_out_or_another_file(tmp_path):
    data = language(tmp_path, 500)
    assert bytes(data.train.ids) + bytes(data.held_out.ids) == (tmp_path / "text.txt").read_bytes()
    assert len(data.held_out) == pytest.approx(0.1 * (tmp_path / "text.txt").stat().st_size, abs=1)
    (tmp_path / "b.txt").write_text("another text")
    other = from_files(tmp_path / "text.txt", Bytes(), validation=tmp_path / "b.txt")
    assert bytes(other.held_out.ids) == b"another text"
    assert len(other.train) == (tmp_path / "text.txt").stat().st_size


# --- files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"abc\0def" * 10, "is binary"),
        (b"gr\xfc\xdfe" * 10, r"is not UTF-8: byte 0xfc at about 2\.\n.*iconv"),
        (b"abc\xe2\x82", "is not UTF-8"),
    ],
)
def test_bad_texts_are_told(tmp_path, content, said):
    (tmp_path / "bad.txt").write_bytes(content)
    with pytest.raises(BadText, match=said):
        read(tmp_path / "bad.txt", Bytes())


def test_a_missing_text_and_a_short_one_are_told(tmp_path):
    with pytest.raises(BadText, match="cannot read the text"):
        read(tmp_path / "none.txt", Bytes())
    data = language(tmp_path, 10)
    with pytest.raises(BadText, match=r"is too short: 31 tokens to train on, and one sequence takes 65"):
        data.check(64)


def test_garbage_far_into_a_large_file_is_found(tmp_path):
    (tmp_path / "big.txt").write_bytes(b"a" * (2 * BLOCK) + b"\xff" + b"a" * 10)
    with pytest.raises(BadText, match=f"at about {2 * BLOCK:,}"):
        read(tmp_path / "big.txt", Bytes())


def test_bytes_of_a_large_file_stay_on_the_disk(tmp_path):
    (tmp_path / "big.txt").write_bytes(b"\xef\xbb\xbf" + b"abcd" * BLOCK)
    found = read(tmp_path / "big.txt", Bytes())
    assert isinstance(found.ids, np.memmap)
    assert (len(found), found.bytes) == (4 * BLOCK, 4 * BLOCK)
    assert bytes(found.ids[:4]) == b"abcd"


# --- tokenizers -----------------------------------------------------------------------------------------


@pytest.fixture
def trained(tmp_path):
    """A small tokenizer.json of the package `tokenizers`."""
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.ByteLevelBPETokenizer()
    made.train_from_iterator(
        [words(500)], vocab_size=300, special_tokens=["[PAD]", "[CLS]", "[SEP]", "[MASK]"]
    )
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    made.save(str(folder / "tokenizer.json"))
    return folder


def test_any_tokenizer_of_tokenizers_serves_and_its_ids_are_those_of_the_package(tmp_path, trained):
    from tokenizers import Tokenizer

    theirs = Tokenizer.from_file(str(trained / "tokenizer.json"))
    text = words(50_000)
    (tmp_path / "a.txt").write_text("\n".join(text[i : i + 60] for i in range(0, len(text), 60)))
    for named in (trained, trained / "tokenizer.json"):
        own = tokenizer(named)
        assert own.vocabulary == theirs.get_vocab_size()
        assert (own.pad, own.bos, own.eos, own.mask) == (0, 1, 2, 3)
        found = read(tmp_path / "a.txt", own)
        assert found.ids.tolist() == theirs.encode((tmp_path / "a.txt").read_text()).ids
        assert found.bytes == (tmp_path / "a.txt").stat().st_size


def test_bad_tokenizers_are_told(tmp_path):
    pytest.importorskip("tokenizers")
    with pytest.raises(UsageError, match=r"there is no tokenizer.*\n.*--tokenizer bytes"):
        tokenizer(tmp_path / "none")
    (tmp_path / "tokenizer.json").write_text("{}")
    for named in (tmp_path, tmp_path / "tokenizer.json"):
        with pytest.raises(UsageError, match="cannot read the tokenizer"):
            tokenizer(named)


# --- data sets ------------------------------------------------------------------------------------------


def saved(folder, form):
    """A data set in one of the layouts that the package reads."""
    datasets = pytest.importorskip("datasets")
    rows = {"text": ["one line\n", "two", "three é"] * 20, "label": [0, 1, 0] * 20}
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])}
    )
    whole = datasets.Dataset.from_dict(rows, features=features)
    if form == "parquet":
        whole.to_parquet(folder / "train.parquet")
        whole.select(range(6)).to_parquet(folder / "validation.parquet")
    elif form == "json":
        whole.to_json(folder / "train.jsonl")
    elif form == "text":
        (folder / "train.txt").write_text("".join(t.strip() + "\n" for t in rows["text"]))
    else:
        datasets.DatasetDict(train=whole, validation=whole.select(range(6))).save_to_disk(folder)


@pytest.fixture
def cache(tmp_path_factory, monkeypatch):
    """The package's cache, away from the user's."""
    config = pytest.importorskip("datasets").config
    place = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(config, "HF_DATASETS_CACHE", place)
    monkeypatch.setattr(config, "HF_DATASETS_OFFLINE", True)
    monkeypatch.setattr(config, "HF_HUB_OFFLINE", True)


@pytest.mark.parametrize("form", ["parquet", "json", "text", "disk"])
def test_a_data_set_is_read_in_its_layout(tmp_path, form, cache):
    saved(tmp_path, form)
    found = sets.language(str(tmp_path), Bytes(), held_out=0.1)
    whole = "one line\ntwo\nthree é\n" * 20
    if form in ("parquet", "disk"):
        assert bytes(found.train.ids) == whole.encode()
        assert bytes(found.held_out.ids) == ("one line\ntwo\nthree é\n" * 2).encode()
    else:
        assert bytes(found.train.ids) + bytes(found.held_out.ids) == whole.encode()
    assert found.train.bytes == len(found.train)


def test_labels_of_a_data_set_have_their_names(tmp_path, cache):
    saved(tmp_path, "parquet")
    found = sets.labelled(str(tmp_path), Bytes())
    assert found.labels == ["no", "yes"]
    assert found.held_out[:2] == (("one line\n", "no"), ("two", "yes"))


def test_data_sets_that_cannot_be_read_are_told(tmp_path, cache):
    with pytest.raises(BadText, match=r"the data set nobody/nothing cannot be read"):
        sets.language("nobody/nothing", Bytes())
    (tmp_path / "train.jsonl").write_text('{"words": "x"}\n')
    with pytest.raises(BadText, match=r"has no column 'text' \(it has: words\)"):
        sets.language(str(tmp_path), Bytes())


# --- what counting gives ------------------------------------------------------------------------------------


def test_counting_models_are_those_worked_by_hand(tmp_path):
    (tmp_path / "a.txt").write_text("ab" * 50 + "aab" * 30)
    data = from_files(tmp_path / "a.txt", Bytes(), held_out=0.2)
    train, held = bytes(data.train.ids), bytes(data.held_out.ids)
    ones, pairs = Counter(train), Counter(pairwise(train))

    def single(b):
        return (ones[b] + 1) / (len(train) + 260)

    def double(m):
        first = Counter(train[:-1])
        return -sum(math.log((pairs[a, b] + m * single(b)) / (first[a] + m)) for a, b in pairwise(held)) / (
            len(held) - 1
        )

    found = baselines(data)
    assert found["unigram"] == pytest.approx(-sum(math.log(single(b)) for b in held) / len(held))
    assert found["bigram"] == pytest.approx(min(map(double, PRIORS)))


def test_nothing_of_a_fingerprint_is_left_out(tmp_path):
    one = language(tmp_path, 300).fingerprint
    text = (tmp_path / "text.txt").read_text()
    (tmp_path / "text.txt").write_text(text[:-1] + "?")
    assert from_files(tmp_path / "text.txt", Bytes()).fingerprint != one
    assert from_files(tmp_path / "text.txt", Bytes(), held_out=0.2).fingerprint != one
