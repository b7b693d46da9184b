"""Discovery: a planted formula, kept-out networks, runs that are stopped, and the command."""

import csv
import json
import zipfile
from random import Random

import numpy as np
import pytest

import untrained as ut
from untrained.apps import _discover_networks, discovering
from untrained.apps._discover_evolution import Evolution
from untrained.apps._discover_judging import Judge
from untrained.apps._discover_log import Log
from untrained.apps._discover_networks import Looked, Side, half, opened
from untrained.core.errors import BadData, UsageError
from untrained.core.formula import Formula, apply, const, read
from untrained.metrics.formulas import GRID, Shown

RIVALS = "params_nonembedding"


# --- the search alone ----------------------------------------------------------------------------


def made_up(count, seed):
    """Networks of two layers with random grids of random scale."""
    rng = np.random.default_rng(seed)
    looks = []
    for _ in range(count):
        grids = {n: rng.normal(size=(2, GRID, GRID)) * rng.uniform(0.5, 2, (2, 1, 1)) for n in ("act", "W")}
        looks.append(
            Looked(Shown({k: v.astype("float32") for k, v in grids.items()}, {"ln_N": rng.normal()}), {})
        )
    return looks


def planted(looks):
    """Quality: minus the last layer's mean square, plus a third of ln N."""
    return np.array(
        [
            -np.square(x.shown.matrices["act"][-1].astype(float)).mean() + x.shown.scalars["ln_N"] / 3
            for x in looks
        ]
    )


def side(count, seed):
    looks = made_up(count, seed)
    return Side("made up", [], looks, planted(looks))


def test_a_planted_formula_is_found():
    training, fresh = side(40, 1), side(40, 2)
    judge, evolution = Judge([training]), None
    evolution = Evolution(judge.sheet.inputs, seed=0)
    discovering._evolve(evolution, Log(None, {}), judge, 3_000, None)
    best = evolution.alive[0]
    assert best.taus[0] > 0.93
    assert Judge([fresh])(best.node).taus[0] > 0.9
    assert best.node.inputs == {"act", "ln_N"}


def test_a_formula_of_the_wrong_sign_is_turned():
    one = side(20, 3)
    node = apply("layer_last", apply("mean", apply("square", read("act"))))
    found = Judge([one])(node)
    assert found.taus[0] > 0
    assert found.node == apply("neg", node)


def test_formulas_that_order_alike_have_one_name():
    judge = Judge([side(20, 3)])
    base = apply("layer_last", apply("l1", read("act")))
    other = apply("exp", apply("add", base, const(2)))
    assert judge(base).digest == judge(other).digest
    assert judge(base).digest != judge(apply("layer_first", apply("l1", read("act")))).digest


def test_a_formula_that_is_not_finite_has_no_fitness():
    steep = apply("exp", apply("exp", apply("exp", apply("layer_sum", apply("frobenius", read("act"))))))
    found = Judge([side(10, 3)])(steep)
    assert found.taus == ()
    assert found.fitness == -np.inf


# --- on a benchmark ------------------------------------------------------------------------------

COUNT = 26


@pytest.fixture(scope="module")
def archs():
    space, rng = ut.space("rnn_cell"), Random(5)
    return list(dict.fromkeys(space.sample(rng) for _ in range(COUNT)))


def table(folder, archs, losses):
    """Trained cells in the published layout."""
    from untrained.benchmarks._nlp_results import COLUMNS

    folder.mkdir()
    space = ut.space("rnn_cell")
    with zipfile.ZipFile(folder / "wikitext2_logs.zip", "w") as archive:
        for i, (arch, loss) in enumerate(zip(archs, losses, strict=True), 1):
            record = {
                "recepie_id": i,
                "recepie": json.dumps(space.to_recipe(arch)),
                "epochs": 2,
                "val_losses": [loss + 1, loss],
                "test_losses": [loss + 1, loss],
                "status": "OK",
            }
            archive.writestr(f"log_stats_model_{i}_2020.json", json.dumps(record))
    with (folder / "RNN_results.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["log name", "loss", "perplexity", "bits per word", *COLUMNS])
        out.writerow(["log_stats_model_1_2020.json", 5.0, 148.4, 7.2, *(0.0 for _ in COLUMNS)])
    return folder


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    path, rng = tmp_path_factory.mktemp("text") / "words.txt", Random(0)
    path.write_text(" ".join(f"w{int(500 * rng.random() ** 3)}" for _ in range(5_000)))
    return path


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, archs):
    return table(tmp_path_factory.mktemp("real") / "data", archs, [4 + i / 10 for i in range(len(archs))])


@pytest.fixture
def discover(folder, seen, words):
    def discover(log=None, data=folder, trials=160, **more):
        return ut.discover(
            "nas_bench_nlp",
            trials=trials,
            data=data,
            log=log,
            cache=seen,
            text=words,
            **{"rivals": RIVALS, **more},
        )

    return discover


def test_halves_are_by_id_and_fixed(archs):
    halves = {a.id: half(a) for a in archs}
    assert all((int(i, 16) % 2 == 0) == (h == "training") for i, h in halves.items())
    assert min(list(halves.values()).count(h) for h in ("training", "held-out")) >= 6


def test_records_say_both_halves_and_the_rival(discover, archs):
    found = discover()
    first = found.records[0]
    left_out = [n for n in found.notes if "left out" in n]
    assert first["n_training"] + first["n_held_out"] + len(left_out) == len(set(archs)), found.notes
    assert first["rival"] == RIVALS
    assert first["minus_rival_low"] <= first["minus_rival"] <= first["minus_rival_high"]
    assert first["minus_rival"] == pytest.approx(first["tau_a_held_out"] - first["rival_tau_a_held_out"])
    assert "held-out half" in found.verdict
    assert found.rate > 0


def test_the_held_out_half_has_no_part_in_the_search(tmp_path, discover, archs):
    truths = [4 + i / 10 if half(a) == "training" else 9 - (i * 7 % COUNT) / 10 for i, a in enumerate(archs)]
    other = table(tmp_path / "other", archs, truths)
    one, two = discover(tmp_path / "one.jsonl"), discover(tmp_path / "two.jsonl", data=other)
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()
    assert one.formula.node == two.formula.node
    assert one.records[0]["tau_a_training"] == two.records[0]["tau_a_training"]
    assert one.records[0]["rival_tau_a_held_out"] != two.records[0]["rival_tau_a_held_out"]


def test_held_out_networks_are_looked_at_after_the_search(monkeypatch, tmp_path, folder, words):
    order = []
    look, evolve = _discover_networks.look, discovering._evolve

    def looking(lab, arch, *rest):
        order.append(half(arch))
        return look(lab, arch, *rest)

    def evolving(*rest):
        order.append("search")
        return evolve(*rest)

    monkeypatch.setattr(_discover_networks, "look", looking)
    monkeypatch.setattr(discovering, "_evolve", evolving)
    ut.discover("nas_bench_nlp", trials=60, data=folder, text=words, rivals=RIVALS)
    when = order.index("search")
    assert set(order[:when]) == {"training"}
    assert set(order[when + 1 :]) == {"held-out"}


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.71, 0.999])
def test_a_run_that_was_killed_ends_as_if_it_had_not_been(tmp_path, discover, share):
    whole, broken = tmp_path / "whole.jsonl", tmp_path / "broken.jsonl"
    wanted = discover(whole)
    text = whole.read_bytes()
    broken.write_bytes(text[: int(share * len(text))])
    found = discover(broken)
    assert broken.read_bytes() == text
    assert found.formula.to_json() == wanted.formula.to_json()
    again = discover(whole)
    assert again.rate == 0
    assert again.formula.to_json() == wanted.formula.to_json()


def test_a_run_can_be_extended(tmp_path, discover):
    long, short = tmp_path / "long.jsonl", tmp_path / "short.jsonl"
    wanted = discover(long, trials=160)
    discover(short, trials=70)
    assert discover(short, trials=160).formula.to_json() == wanted.formula.to_json()
    assert short.read_bytes() == long.read_bytes()


def test_another_seed_is_another_search(tmp_path, discover):
    discover(tmp_path / "log.jsonl")
    with pytest.raises(UsageError, match="another search"):
        discover(tmp_path / "log.jsonl", seed=1)


def test_a_log_that_is_none_is_told(tmp_path, discover):
    (tmp_path / "log.jsonl").write_text("words\n")
    with pytest.raises(UsageError, match="not JSON lines"):
        discover(tmp_path / "log.jsonl")


@pytest.mark.parametrize(
    "line",
    ["[1]", "{}", '{"asked": 1}', '{"asked": "a", "turned": 0, "taus": ["x"], "order": ""}', "7"],
)
def test_a_line_of_a_log_that_is_no_formula_is_told(tmp_path, discover, line):
    log = tmp_path / "log.jsonl"
    discover(log)
    lines = log.read_text().splitlines()
    log.write_text("\n".join([lines[0], line, *lines[2:]]) + "\n")
    before = log.read_bytes()
    with pytest.raises(UsageError, match=r"line 2, is no formula.*\n.*--log FILE"):
        discover(log)
    assert log.read_bytes() == before


def test_truths_that_are_all_the_same_are_told(tmp_path, archs, discover):
    same = table(tmp_path / "same", archs, [5.0] * len(archs))
    with pytest.raises(BadData, match="every network of the training half has the same wikitext2_val_loss"):
        discover(data=same)


def test_an_architecture_with_several_truths_counts_once_with_their_mean(tmp_path, archs):
    twice = table(tmp_path / "twice", [*archs, archs[0]], [4 + i / 10 for i in range(len(archs) + 1)])
    one = opened("nas_bench_nlp", twice, None, None, "probe")
    assert len(one.truths) == len(archs)
    assert one.truths[archs[0]] == pytest.approx([-4.0, -4 - len(archs) / 10])


def test_fewer_networks_than_folds_are_wrong_use_before_the_work(tmp_path, archs, wrong, monkeypatch):
    few = table(tmp_path / "few", archs[:7], [4 + i for i in range(7)])
    monkeypatch.setattr(_discover_networks, "look", lambda *_: pytest.fail("a network was looked at"))
    output = tmp_path / "found.json"
    said = wrong("discover", "nas_bench_nlp", "--data", few, "-o", output)
    assert "half, fewer than 6: too few to say anything" in said
    assert "limit=11" in wrong("discover", "nas_bench_nlp", "--data", few, "-o", output, "--limit", 11)
    assert not output.exists()


def test_too_few_networks_are_told(tmp_path, archs, discover):
    few = table(tmp_path / "few", archs[:7], [4 + i for i in range(7)])
    with pytest.raises(BadData, match="fewer than 6"):
        discover(data=few)
    with pytest.raises(UsageError, match="limit=4"):
        discover(limit=4)


def test_the_command_writes_a_file_that_every_command_takes(tmp_path, run, folder, seen, words):
    path = tmp_path / "found.json"
    common = ["--data", folder, "--text", words]
    done = run(
        "discover",
        "nas_bench_nlp",
        *common,
        "--trials",
        60,
        "--cache",
        seen,
        "--rival",
        RIVALS,
        "-o",
        path,
        "--json",
    )
    records = json.loads(done.stdout)
    assert records[0]["formula"] == str(Formula.load(path).node)
    assert "formulas a second" in done.stderr
    scored = json.loads(run("score", "--recipe", "lstm", "--proxy", path, "--text", words, "--json").stdout)
    assert str(path) in json.dumps(scored)
    shown = run("correlate", "nas_bench_nlp", *common, "--proxy", path, "--versus", path, "--json")
    record = next(r for r in json.loads(shown.stdout) if r["proxy"] == str(path))
    assert record["n"] >= 20
    run("search", "rnn_cell", "--maximize", path, "--trials", 4, "--text", words, "--json")
    run("search", "rnn_cell", "--maximize", path, "--trials", 4, "--text", words, "--workers", 1, "--json")
    cells = tmp_path / "cells.jsonl"
    space = ut.space("rnn_cell")
    cells.write_text("".join(f"{space.classic(n).to_json()}\n" for n in ("lstm", "gru")))
    run("rank", cells, "--proxy", path, "--text", words, "--workers", 2, "--json")
    again = run(
        "discover", "nas_bench_nlp", *common, "--trials", 60, "--cache", seen, "--rival", RIVALS, "-o", path
    )
    assert "1. " in again.stdout


@pytest.mark.parametrize(
    "text",
    ['{"format": "untrained-formula", "version": 9}', '{"a": 1}', "words"],
    ids=["version", "other", "text"],
)
def test_a_bad_file_is_wrong_use(tmp_path, wrong, text):
    path = tmp_path / "bad.json"
    path.write_text(text)
    assert str(path) in wrong("score", "--recipe", "lstm", "--proxy", path)


def test_an_output_that_cannot_be_written_is_told_before_the_work(tmp_path, wrong):
    assert "no folder" in wrong("discover", "nas_bench_nlp", "-o", tmp_path / "none" / "found.json")
