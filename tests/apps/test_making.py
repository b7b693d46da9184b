"""Our own benchmarks: planned, made, killed, gone on with, refused."""

import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from untrained.apps.making import families, making, store
from untrained.apps.making.corpus import corpus
from untrained.apps.making.plan import CLASSIC, drawn, plan
from untrained.core import runs as form
from untrained.core.errors import BadData, UntrainedError, UsageError

ENGLISH = "The cat sat on the mat , and the dog lay by the door until it was late .\n"
NAMES = sorted(families.FAMILIES)
TEXTS = tuple(
    families.Text(n, n, hashlib.sha256((ENGLISH * 40).encode()).hexdigest()) for n in ("one.txt", "two.txt")
)


def tiny(steps: int = 8, peak_lr: float = 4e-3, **settings: object) -> families.Family:
    """Two decoders of one band, one of them with three seeds."""
    one = dataclasses.replace(families.DECODER.bands[0], networks=2, repeated=1, peak_lr=peak_lr)
    few = {"steps": steps, "eval_every": steps // 4, "log_every": steps // 4, "eval_windows": 4}
    return dataclasses.replace(
        families.DECODER, settings={**few, "batch": 2, "length": 8, **settings}, bands=(one,), texts=TEXTS
    )


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a text in the place of WikiText-2."""
    for text in TEXTS:
        (tmp_path / text.name).write_text(ENGLISH * 40, encoding="utf-8")
    monkeypatch.setitem(families.FAMILIES, "bench_decoder", tiny())
    return tmp_path


def make(place: Path, **asked: object) -> store.Store:
    return making.make("bench_decoder", store=place / "rows.jsonl", data=place, **asked)


# --- the sample ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_bands_hold_distinct_networks_of_one_size(name):
    family = families.family(name)
    jobs, space = plan(family), family.opened()
    assert len({job.key for job in jobs}) == len(jobs)
    for band in family.bands:
        first = [j.arch for j in jobs if j.band == band.name and j.seed == 0]
        sizes = [space.count(a, scale=family.scale)["params_nonembedding"] for a in first]
        assert len({a.id for a in first}) == band.networks
        assert max(sizes) / min(sizes) <= 1.0203  # 1 % up and 1 % down
        again = {j.arch.id for j in jobs if j.band == band.name and j.seed == 2}
        assert again == set(sorted(a.id for a in first)[: band.repeated])
        assert 10 * band.repeated >= band.networks


def test_what_the_families_hold():
    held = {name: plan(families.family(name)) for name in NAMES}
    networks = {name: len({j.arch.id for j in jobs}) for name, jobs in held.items()}
    assert networks == {"bench_decoder": 96, "bench_encoder": 64, "bench_rnn": 99}
    embeddings = {(j.arch.width, j.arch.embedding) for j in held["bench_decoder"]}
    assert len({e for _, e in embeddings}) == 4
    assert all(len({e for w, e in embeddings if w == width}) > 1 for width in (48, 64, 96, 128))
    operations = {op for j in held["bench_encoder"] for op in j.arch.operation}
    assert operations == {"sdp", "wma", "dft", "dct", "conv5", "conv9", "conv13"}
    assert sum(j.band == CLASSIC for j in held["bench_rnn"]) == 3


@pytest.mark.parametrize("name", NAMES)
def test_rates_were_chosen_on_other_networks(name):
    family = families.family(name)
    others = drawn(family.opened(), family, families.OUTSIDE, {b.name: 3 for b in family.bands})
    assert not {a.id for archs in others.values() for a in archs} & {j.arch.id for j in plan(family)}


def test_the_five_kinds_of_operation_train_differently(place):
    """What the published BERT benchmark very probably lacks: each operation gives another loss."""
    family = dataclasses.replace(
        families.ENCODER,
        settings={**tiny().settings, "mask": 0.3},
        bands=(dataclasses.replace(families.ENCODER.bands[0], networks=1, repeated=0),),
    )
    job = plan(family)[0]
    losses, learnt = set(), set()
    for op in ("sdp", "wma", "dft", "dct", "conv5", "conv9", "conv13"):
        choices = dict(job.arch.choices)
        choices |= {"operation": (op,) * len(choices["operation"])}
        arch = type(job.arch).of(job.arch.space, **choices)
        from untrained.apps.making.running import run

        row = run(family, dataclasses.replace(job, arch=arch), corpus(TEXTS, place), place / op, "cpu")
        losses.add(row.loss)
        learnt.add(row.curve[0] - row.curve[-1])
    assert len(losses) == len(learnt) == 7


# --- made ------------------------------------------------------------------------------------------


def test_rows_are_kept_and_the_same_each_time(place):
    runs = make(place).runs
    assert [r.seed for r in runs] == [0, 0, 1, 2]
    assert all(r.status == "ok" and r.loss == r.curve[-1] and len(r.curve) == 5 for r in runs)
    assert runs[0].learning != runs[1].learning
    assert all(r.tokens == 8 * 2 * 8 for r in runs)
    design, kept = form.parsed("bench_decoder", "gpt_decoder", place / "rows.jsonl")
    assert kept == runs
    assert design["settings"]["steps"] == 8
    assert not list(place.glob(".*"))  # nothing of a training stays behind
    (place / "rows.jsonl").unlink()
    assert [(r.key, r.curve) for r in make(place).runs] == [(r.key, r.curve) for r in runs]


def test_other_processes_make_the_same_rows(place):
    here = make(place, limit=2).runs
    (place / "rows.jsonl").unlink()
    there = making.make("bench_decoder", store=place / "rows.jsonl", data=place, limit=2, workers=2).runs
    assert {(r.key, r.curve) for r in there} == {(r.key, r.curve) for r in here}


def test_only_and_limit(place):
    names = {job.arch.id for job in plan(tiny())}
    one = min(names)
    assert {r.arch.id for r in make(place, only=[one]).runs} == {one}
    assert len(make(place, resume=True, limit=1).runs) == 4
    with pytest.raises(UsageError, match=r"no network 0123[\s\S]*--plan"):
        make(place, resume=True, only=["0123"])


def test_a_divergence_is_a_row(place, monkeypatch):
    monkeypatch.setitem(families.FAMILIES, "bench_decoder", tiny(peak_lr=1e3, clip=0.0))
    runs = make(place, limit=1).runs
    assert runs[0].status == "diverged"
    assert runs[0].loss is None
    assert "at step" in runs[0].reason
    assert make(place, resume=True, limit=1).runs[0] == runs[0]  # and is not trained again


# --- interrupted -----------------------------------------------------------------------------------


def test_a_killed_training_goes_on_where_it_was(place, monkeypatch):
    whole = make(place, limit=1).runs[0]
    (place / "rows.jsonl").unlink()
    from untrained.training import trainer

    real, seen = trainer._Run._update, []

    def killed(self):
        seen.append(1)
        if len(seen) == 6:
            raise KeyboardInterrupt
        return real(self)

    monkeypatch.setattr(trainer._Run, "_update", killed)
    with pytest.raises(KeyboardInterrupt):
        make(place, limit=1)
    assert form.parsed("bench_decoder", "gpt_decoder", place / "rows.jsonl")[1] == []
    monkeypatch.setattr(trainer._Run, "_update", real)
    done = []
    monkeypatch.setattr(trainer._Run, "_examine", _counted(trainer._Run._examine, done))
    again = make(place, resume=True, limit=1).runs[0]
    assert again.curve == whole.curve
    assert again.learning == whole.learning
    assert len(done) == 2  # of five: the others were kept


def _counted(function, calls):
    def counted(*given):
        calls.append(1)
        return function(*given)

    return counted


def test_a_killed_process_loses_no_row(place):
    """SIGKILL in the middle; the rows that were told are there, and --resume makes the rest."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[2]); import test_making as t; from pathlib import Path\n"
        "t.alone(Path(sys.argv[1]))"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(place), str(Path(__file__).parent)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    told = child.stdout.readline()
    time.sleep(0.2)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert told.strip() == "1"
    rows = form.parsed("bench_decoder", "gpt_decoder", place / "rows.jsonl", torn=True)[1]
    assert 1 <= len(rows) <= 4
    with (place / "rows.jsonl").open("a") as file:
        file.write('{"id": "torn')  # what a kill in the middle of a write leaves
    assert [r.key for r in make(place, resume=True).runs] == [j.key for j in plan(tiny())]


def alone(place: Path) -> None:
    """Makes the rows in this process, and says how many there are; for a test that kills it."""
    families.FAMILIES["bench_decoder"] = tiny()
    make(place, progress=lambda done, whole, run: print(done, flush=True))


# --- refused ---------------------------------------------------------------------------------------


def test_rows_of_another_recipe_are_refused(place, monkeypatch):
    make(place, limit=1)
    before = (place / "rows.jsonl").read_bytes()
    with pytest.raises(UsageError, match="--resume"):
        make(place, limit=1)
    monkeypatch.setitem(families.FAMILIES, "bench_decoder", tiny(peak_lr=1e-3, batch=3))
    with pytest.raises(UsageError) as caught:
        make(place, resume=True)
    assert "settings.batch: 2 there, 3 here" in str(caught.value)
    assert "bands.64k.peak_lr: 0.004 there, 0.001 here" in str(caught.value)
    assert (place / "rows.jsonl").read_bytes() == before


def test_another_text_is_refused(place):
    (place / "two.txt").write_text("Other words .", encoding="utf-8")
    with pytest.raises(BadData, match=r"another text[\s\S]*SHA-256 expected"):
        make(place)
    (place / "two.txt").unlink()
    with pytest.raises(BadData, match=r"two.txt is not there[\s\S]*--data DIR"):
        make(place)
    assert not (place / "rows.jsonl").exists()


def test_wrong_asking(place):
    with pytest.raises(UsageError, match="bench_decoder"):
        making.make("bench_decodr", store=place / "rows.jsonl")
    with pytest.raises(UsageError, match="workers=0"):
        make(place, workers=0)
    with pytest.raises(UsageError, match="device"):
        make(place, device="nowhere")
    (place / "rows.jsonl").write_text("something else\n")
    with pytest.raises(BadData, match="no table of ours"):
        make(place, resume=True)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_keeps_the_rows_before(place, monkeypatch):
    make(place, limit=1)
    before = (place / "rows.jsonl").read_bytes()

    def full(handle):
        with Path("/dev/full").open("wb", buffering=0) as disk:
            disk.write(b"x")

    monkeypatch.setattr(store.os, "fsync", full)
    with pytest.raises(UntrainedError, match=r"cannot be written: No space left[\s\S]*--resume"):
        make(place, resume=True, limit=1)
    monkeypatch.undo()
    assert (place / "rows.jsonl").read_bytes() == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_while_training_ends_with_what_to_type(place, monkeypatch):
    from untrained.training import checkpoint

    def full(tensors, path, metadata=None):
        with Path("/dev/full").open("wb", buffering=0) as disk:
            disk.write(b"x")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(UntrainedError, match=r"cannot be written: No space left[\s\S]*--resume"):
        make(place, limit=1)


# --- the command -----------------------------------------------------------------------------------


def test_the_plan_is_printed(run):
    lines = run("make-benchmark", "bench_rnn", "--plan").stdout.splitlines()
    assert len(lines) == 99 + 32
    assert sum("band classic" in line for line in lines) == 3
    records = json.loads(run("make-benchmark", "bench_rnn", "--plan", "--json").stdout)
    assert {r["seed"] for r in records} == {0, 1, 2}


def test_the_command_makes_and_publishes(run, place):
    rows, table = place / "rows.jsonl", place / "table.jsonl"
    words = ["make-benchmark", "bench_decoder", "--store", rows, "--data", place, "--limit", 2, "-o", table]
    found = run(*words)
    assert "1 of 4" in found.stderr
    assert "2 rows in" in found.stdout
    assert form.parsed("bench_decoder", "gpt_decoder", table)[1] != []
    lines = table.read_text().splitlines()[1:]
    assert [json.loads(line)["id"] for line in lines] == sorted(json.loads(line)["id"] for line in lines)
    assert run(*words, code=2).stderr.startswith(str(rows))
    assert len(json.loads(run(*words, "--resume", "--json").stdout)) == 4
    assert "--store FILE" in run("make-benchmark", "bench_decoder", code=2).stderr
