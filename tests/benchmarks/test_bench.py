"""Our own tables: read, checked byte by byte, and what is wrong with a file said."""

import dataclasses
import json
from random import Random

import pytest

from untrained.benchmarks import folder, get, verify
from untrained.benchmarks.bench_decoder import BenchDecoder
from untrained.core import runs as form
from untrained.core.benchmark import File
from untrained.core.errors import BadData, UsageError
from untrained.spaces.gpt_decoder import GptDecoder

DESIGN = {"space": "gpt_decoder:family=small"}


def run(seed: int = 0, draw: int = 0, loss: float | None = 4.0, **others: object) -> form.Run:
    """A made-up training of a decoder."""
    given = {
        "arch": GptDecoder(family="small").sample(Random(draw)),
        "band": "64k",
        "seed": seed,
        "params_nonembedding": 65_000,
        "tokens": 1_000,
        "status": form.OK if loss is not None else form.DIVERGED,
        "loss": loss,
        "curve": (7.6, 5.0, 4.5, 4.2, loss) if loss is not None else (7.6,),
        "learning": (6.0, 4.8, 4.4, 4.1),
        "reason": "" if loss is not None else "the loss is nan at step 3",
        "seconds": 60.0,
        "device": "cpu",
        "versions": {"torch": "2.13.0"},
    }
    return form.Run(**{**given, **others})


def written(path, runs, design=DESIGN, benchmark="bench_decoder"):
    path.write_text("\n".join([form.head(benchmark, design), *(r.line() for r in runs), ""]))
    return path


@pytest.fixture
def released(tmp_path, monkeypatch):
    """A small table in the place of the released one."""
    path = written(tmp_path / "bench_decoder.jsonl", [run(), run(1, loss=4.1), run(draw=1, loss=3.9)])
    known = File(path.name, "", path.stat().st_size, form.sha256(path), "CC BY 4.0")
    monkeypatch.setattr(BenchDecoder, "files", (known,))
    monkeypatch.setattr(BenchDecoder, "shipped", tmp_path)
    return path


def read(path, **options):
    return BenchDecoder(**options).read(path.parent, GptDecoder())


def test_a_row_a_training(released):
    table = read(released)
    assert [r.truth["loss"] for r in table.rows] == [4.0, 4.1, 3.9]
    assert {r.truth["loss_early"] for r in table.rows} == {5.0}  # a fourth of the way
    assert {r.band for r in table.rows} == {"64k"}
    assert table.rows[0].architecture == table.rows[1].architecture
    assert table.rows[1].key.endswith(" seed 1")
    assert form.parsed("bench_decoder", "gpt_decoder", released)[1] == [
        run(),
        run(1, loss=4.1),
        run(draw=1, loss=3.9),
    ]


def test_the_package_has_the_table_last(released, tmp_path, monkeypatch):
    monkeypatch.setenv("UNTRAINED_DATA", str(tmp_path / "elsewhere"))
    assert folder(BenchDecoder) == released.parent
    assert folder(BenchDecoder, tmp_path / "nothing") == released.parent


def test_nothing_is_downloaded(released):
    assert get(BenchDecoder) == [released]
    assert [c.status for c in verify(BenchDecoder, folder(BenchDecoder))] == ["ok"]


def test_divergence_is_told(tmp_path):
    path = written(tmp_path / "own.jsonl", [run(), run(draw=1, loss=None)])
    table = read(path, table=str(path))
    assert [r.truth for r in table.rows] == [{"loss": 4.0, "loss_early": 5.0}, {}]
    assert "diverged: the loss is nan at step 3" in table.skipped[0]


@pytest.mark.parametrize("place", [40, -20])
def test_a_changed_byte_names_the_checksum(released, place):
    right = form.sha256(released)
    raw = bytearray(released.read_bytes())
    raw[place] ^= 1
    released.write_bytes(raw)
    with pytest.raises(BadData) as caught:
        read(released)
    assert f"SHA-256 of the release: {right}" in str(caught.value)
    assert f"SHA-256 of the file:    {form.sha256(released)}" in str(caught.value)
    assert isinstance(caught.value, UsageError)  # exit code 2


def test_rows_of_an_unknown_architecture(tmp_path):
    good = json.loads(run().line())
    wrong = dataclasses.replace(run(), arch=type(run().arch).of("gpt_decoder", cell=[1]))
    for line, said in (
        (json.dumps({**good, "id": "0" * 16}), "its architecture has"),
        (wrong.line(), "no network of the space gpt_decoder"),
        (json.dumps({**good, "arch": 7}), "line 2 is damaged"),
        (json.dumps({**good, "loss": float("nan")}), "not a number"),
        (json.dumps({**good, "loss": None}), "status ok with the loss None"),
        (json.dumps({**good, "status": "fine"}), "no status is called 'fine'"),
        (json.dumps({k: v for k, v in good.items() if k != "seed"}), "line 2 is damaged"),
        ("{", "line 2 is damaged"),
        (f"{run().line()}\n{run().line()}", "there twice"),
    ):
        path = tmp_path / "own.jsonl"
        path.write_text(f"{form.head('bench_decoder', DESIGN)}\n{line}\n")
        with pytest.raises(BadData, match=said):
            read(path, table=str(path))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no table of ours"),
        ("[]\n", "no table of ours"),
        ('{"format": "other"}\n', "no table of ours"),
        (form.head("bench_rnn", DESIGN) + "\n", "a table of 'bench_rnn', not of bench_decoder"),
        (form.head("bench_decoder", DESIGN).replace('"version": 1', '"version": 9') + "\n", "version 9"),
        (form.head("bench_decoder", DESIGN) + "\n", "no runs"),
    ],
)
def test_other_files(tmp_path, text, said):
    path = tmp_path / "own.jsonl"
    path.write_text(text)
    with pytest.raises(BadData, match=said):
        read(path, table=str(path))


def test_a_torn_line_is_forgiven_in_a_store_and_not_in_a_release(released, monkeypatch):
    text = released.read_text()
    released.write_text(text + run(2).line()[:50])
    assert len(read(released, table=str(released)).rows) == 3
    known = File(released.name, "", 0, form.sha256(released), "CC BY 4.0")
    monkeypatch.setattr(BenchDecoder, "files", (known,))
    with pytest.raises(BadData, match="its last line has no end"):
        read(released)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(BadData, match=r"own.jsonl cannot be read"):
        read(tmp_path / "own.jsonl", table=str(tmp_path / "own.jsonl"))
    (tmp_path / "raw").write_bytes(b"\xff\xfe")
    with pytest.raises(BadData, match="not UTF-8"):
        read(tmp_path / "raw", table=str(tmp_path / "raw"))
