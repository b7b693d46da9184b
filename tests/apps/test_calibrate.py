"""What labels buy: splits, the curve, the active choice, tables of one's own and what is wrong with them."""

import csv
import json
from pathlib import Path
from random import Random

import numpy as np
import pytest

import untrained as ut
from untrained.apps import calibrating
from untrained.apps.calibrating import _active, _improvement, _maker, _split, calibrate
from untrained.apps.labelled import Known, from_benchmark
from untrained.apps.probing import Lab
from untrained.core.benchmark import Benchmark, Row, Table, Target
from untrained.core.errors import UnknownName, UsageError
from untrained.core.recipe import Recipe
from untrained.core.statistics import kendall_tau
from untrained.spaces.rnn_cell import RnnCell

SHARED = Path(__file__).parents[2].parent / "shared" / "data"


def known(rows=60, seed=0, prior="mine"):
    """The truth is the prior and one more column; labels are needed for the second."""
    rng = np.random.default_rng(seed)
    codes = rng.normal(size=(rows, 6))
    truth = codes[:, 0] + codes[:, 1]
    ids = [f"arch{i}" for i in range(rows)]
    return Known(ids, ids, codes, truth.copy(), truth.copy(), prior=prior)


def test_without_labels_it_is_the_prior_alone_and_labels_add():
    found = calibrate(known(), labels=[0, 10, 40], draws=8)
    none, few, many = found.records
    assert [r["labels"] for r in found.records] == [0, 10, 40]
    taus = []
    for draw in range(8):
        test = _split(known(), draw, 0, 20)[1]
        taus.append(kendall_tau(known().codes[test, 0], known().quality[test]))
    assert none["tau"] == pytest.approx(np.mean(taus))
    assert (none["tau_low"], none["tau_high"]) == tuple(np.quantile(taus, [0.025, 0.975]))
    assert none["gain"] == 0.0
    assert none["active_tau"] is None
    assert many["tau"] > none["tau"] + 0.1
    assert many["gain"] == pytest.approx(many["tau"] - none["tau"])
    assert few["draws"] == 8
    assert few["tested"] == 20


def test_the_record_keeps_its_contract():
    found = calibrate(known(), labels=[10], draws=2).records
    assert {"labels", "tau", "tau_low", "tau_high", "rho", "hard_pairs", "draws"} <= set(found[0])
    assert found[0]["labels"] == 0  # the row without labels is always there, and first
    json.dumps(found, allow_nan=False)


def test_without_prior_or_labels_there_is_no_order():
    assert calibrate(known(prior="none"), labels=[0], draws=2).records[0]["tau"] == 0.0


def test_no_architecture_is_both_labelled_and_scored_on():
    for draw in range(5):
        train, test = _split(known(), draw, 0, 20)
        assert not set(train) & set(test)
        assert len(train) + len(test) == 60
    assert not np.array_equal(*(_split(known(), d, 0, 20)[1] for d in (0, 1)))


def test_the_split_is_that_of_the_hash_of_draw_and_id():
    import hashlib

    order = sorted(range(60), key=lambda i: hashlib.sha256(f"3/7/arch{i}".encode()).hexdigest())
    train, test = _split(known(), 7, 3, 20)
    assert [*train, *test] == order


def test_where_the_rows_stand_does_not_matter():
    table, turned = known(), known()
    order = np.random.default_rng(1).permutation(60)
    turned = Known(
        [table.ids[i] for i in order],
        table.keys,
        table.codes[order],
        table.label[order],
        table.quality[order],
        prior="mine",
    )
    assert calibrate(table, labels=[20], draws=3).records[1]["tau"] == pytest.approx(
        calibrate(turned, labels=[20], draws=3).records[1]["tau"]
    )


def test_labels_of_another_truth_never_come_from_what_is_scored_on():
    table = known()
    table.label = table.codes[:, 1].copy()
    table.quality[:30] = np.nan  # only half has the truth that is predicted
    found = calibrate(table, labels=[20], draws=4).records
    assert found[0]["tested"] == 30
    for draw in range(4):
        train, test = _split(table, draw, 0, 30)
        assert np.isfinite(table.quality[test]).all()
        assert not set(train) & set(test)


def test_the_active_choice_begins_by_chance_and_asks_within_the_part_that_may_be_labelled():
    table = known()
    train, test = _split(table, 0, 0, 20)
    chosen = _active(table, _maker(table, "gaussian_process"), train, [0, 20, 30], "deviation")
    assert set(chosen) == {20, 30}
    assert np.array_equal(chosen[20][:10], train[:10])
    assert len(set(chosen[30])) == 30
    assert set(chosen[20]) <= set(chosen[30]) <= set(train)
    assert not set(chosen[30]) & set(test)


@pytest.mark.parametrize(("name", "start", "more"), [("gaussian_process", 10, 2), ("ridge_on_ranks", 2, 1)])
def test_the_active_choice_takes_those_of_largest_deviation(name, start, more):
    table = known()
    train, made = _split(table, 0, 0, 20)[0], _maker(table, name)
    chosen = _active(table, made, train, [start + more], "deviation")[start + more]
    fitted = made().fit(table.codes[train[:start]], table.label[train[:start]], table.codes)
    deviation = fitted.predict(table.codes[train[start:]])[1]
    assert list(chosen[:start]) == list(train[:start])
    assert set(chosen[start:]) == set(train[start:][np.argsort(deviation)[-more:]])


def test_expected_improvement_is_what_draws_give():
    above, deviation = np.array([0.3, -1.0, -2.0]), np.array([1.0, 0.5, 0.0])
    draws = np.random.default_rng(0).normal(size=(200_000, 1)) * deviation + above
    assert _improvement(above, deviation) == pytest.approx(draws.clip(min=0).mean(0), abs=5e-3)
    assert _improvement(np.array([2.0]), np.array([0.0])) == pytest.approx([2.0])


# --- benchmarks -----------------------------------------------------------------------------------------


class Small(Benchmark):
    """Not registered: handed in."""

    name = "small"
    space = "rnn_cell"
    targets = (Target("loss", "nats", "lower"), Target("other", "nats", "lower"))
    files = ()
    recipe = Recipe("text", epochs=1, batch=1, length=1, optimizer="SGD", peak_lr=1.0)

    def read(self, folder, space):
        return Table(())


@pytest.fixture(scope="module")
def small():
    space, luck = RnnCell(), Random(5)
    archs = list(dict.fromkeys(space.sample(luck) for _ in range(20)))
    rows = [Row(str(i), {"loss": 5 + (i * 7 % 11) / 10}, a) for i, a in enumerate(archs)]
    return [*rows, Row("twin", {"loss": 9.0}, archs[0]), Row("unknown", {"loss": 5.0})], Lab(space)


def test_twins_are_one_architecture_with_their_mean(small):
    rows, lab = small
    found = from_benchmark(Small(), rows, lab, kind="encoding")
    assert len(found.ids) == len(set(found.ids)) == len(rows) - 2
    assert found.quality[0] == pytest.approx(-(5.0 + 9.0) / 2)
    assert found.prior == "gated_memory"
    assert found.codes.shape[1] == 1 + len(lab.space.encode(rows[0].architecture))
    assert found.size is not None


def test_statistics_and_fresh_architectures(small):
    rows, lab = small
    found = from_benchmark(Small(), rows[:4], lab, kind="statistics", prior="none", fresh=3)
    assert found.codes.shape[0] == 7
    assert found.codes.shape[1] > 20
    assert np.isnan(found.label).sum() == 3
    assert np.isfinite(found.codes).all()


def test_a_truth_that_does_not_exist_is_told(small):
    rows, lab = small
    with pytest.raises(UnknownName, match="no truth is called 'los'"):
        from_benchmark(Small(), rows, lab, target="los")
    with pytest.raises(UsageError, match="fewer than 2 are different"):
        calibrate(from_benchmark(Small(), rows, lab, target="other", kind="encoding", prior="none"))


# --- tables of one's own ----------------------------------------------------------------------------------


@pytest.fixture
def mine(tmp_path):
    """40 lines, the last 5 without a truth."""
    rng = np.random.default_rng(3)
    path = tmp_path / "mine.csv"
    rows = []
    for i in range(40):
        a, b, secret = rng.normal(size=3).tolist()
        loss = "" if i >= 35 else repr(5 - a - b)
        rows.append(
            {"id": f"x{i}", "fading_memory": a, "gates": b, "secret": secret, "loss": loss, "test": loss}
        )

    def write(**changes):
        changed = [dict(r) for r in rows]
        for place, cells in changes.items():
            changed[int(place[1:])] |= cells
        with path.open("w", newline="") as file:
            out = csv.DictWriter(file, list(changed[0]))
            out.writeheader()
            out.writerows(changed)
        return path

    return write


OWN = ("--target", "loss", "--better", "lower", "--draws", "3")


def test_a_table_of_ones_own(run, mine):
    words = ("calibrate", mine(), *OWN, "--prior", "fading_memory")
    found = json.loads(run(*words, "--labels", "0,20", "--json").stdout)
    assert [r["labels"] for r in found] == [0, 20]
    assert found[1]["tau"] > found[0]["tau"]
    shown = run(*words, "--labels", "20").stdout
    assert "learned from: gates" in shown  # never `test`, which is a truth by another name
    assert "secret" not in shown
    assert "learned from: gates, secret" in run(*words, "--labels", "20", "--columns", "secret").stdout


def test_labels_that_do_harm_are_told_with_what_to_type(run, tmp_path):
    """The prior is nearly the truth, and ten columns of noise say nothing of the rest."""
    rng, path = np.random.default_rng(3), tmp_path / "mine.csv"
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["id", "fading_memory", *(f"n{k}" for k in range(10)), "loss"])
        for i in range(60):
            prior, *noise = rng.normal(size=11).tolist()
            out.writerow([f"x{i}", prior, *noise, 5 - prior + 0.2 * rng.normal()])
    columns = ",".join(f"n{k}" for k in range(10))
    words = ("calibrate", path, *OWN, "--prior", "fading_memory", "--columns", columns, "--labels", "20")
    shown = run(*words).stdout
    assert "labels do harm here" in shown
    assert "95 % over networks (labels): " in shown
    record = json.loads(run(*words, "--json").stdout)[1]
    assert record["gain"] < 0
    assert record["gain_networks_low"] < record["gain"] < record["gain_networks_high"]
    careful = (*words, "--predictor", "ridge_on_ranks:careful=true")
    assert "labels do harm" not in run(*careful).stdout
    record = json.loads(run(*careful, "--json").stdout)[1]
    assert record["no_worse"] == 1.0


def test_the_gain_of_hard_pairs_is_counted_by_hand():
    table = known(30)
    table.size = np.array([10.0, 10.2] * 15)
    record = calibrate(table, labels=[10], draws=1).records[1]
    train, test = _split(table, 0, 0, 20)
    score = _maker(table, "ridge_on_ranks")().fit(table.codes[train], table.label[train], table.codes)
    told = score.predict(table.codes[test])[0]
    net = pairs = 0.0
    for place, i in enumerate(test):
        for k, j in enumerate(test[:place]):
            if abs(table.quality[i] - table.quality[j]) > table.gap:  # all are of nearly one size
                better = np.sign(table.quality[i] - table.quality[j])
                net += better * np.sign(told[place] - told[k]) - better * np.sign(
                    table.codes[i, 0] - table.codes[j, 0]
                )
                pairs += 1
    assert record["hard_gain"] == pytest.approx(net / 2 / pairs)
    assert record["hard_gain_low"] <= record["hard_gain"] <= record["hard_gain_high"]


def test_which_to_train_next_are_those_without_a_truth(run, mine):
    words = ("calibrate", mine(), *OWN, "--prior", "fading_memory", "--labels", "20", "--next", "3")
    found = json.loads(run(*words, "--json").stdout)
    assert [r["rank"] for r in found] == [1, 2, 3]
    assert {r["arch"] for r in found} < {f"x{i}" for i in range(35, 40)}
    deviations = [r["deviation"] for r in found]
    assert deviations == sorted(deviations, reverse=True)
    best = json.loads(run(*words, "--choice", "improvement", "--json").stdout)
    improvements = [r["improvement"] for r in best]
    assert improvements == sorted(improvements, reverse=True)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"_1": {"loss": "nan"}}, "line 3: loss is 'nan'"),
        ({"_1": {"loss": "word"}}, "line 3: loss is 'word'"),
        ({"_2": {"id": "x0"}}, "x0 stands in line 2 already"),
        ({"_2": {"id": ""}}, "line 4: no id"),
        ({"_2": {"gates": ""}}, "gates is ''"),
        ({f"_{i}": {"loss": "5.0"} for i in range(35)}, "fewer than 2 are different"),
        ({f"_{i}": {"loss": ""} for i in range(34)}, "fewer than 2 are different"),
        ({f"_{i}": {"loss": ""} for i in range(30)}, "too few"),
    ],
)
def test_labels_that_are_wrong_are_told(wrong, mine, changes, said):
    assert said in wrong("calibrate", mine(**changes), *OWN)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--better lower"),
        (("--target", "los", "--better", "lower"), "Did you mean 'loss'?"),
        ((*OWN, "--labels", "1"), "labels=1: too few"),
        ((*OWN, "--labels", "-3"), "labels=-3: too few"),
        ((*OWN, "--labels", "30"), "take at most 25"),
        ((*OWN, "--labels", "a"), "whole numbers"),
        ((*OWN, "--labels", "20", "--predictor", "ridge"), "ridge_on_ranks"),
        ((*OWN, "--features", "encoding"), "no column architecture"),
        ((*OWN, "--features", "all"), "no kind of features"),
        ((*OWN, "--choice", "best"), "improvement"),
        ((*OWN, "--prior", "none", "--columns", "nothing"), "no column is called 'nothing'"),
        ((*OWN, "--draws", "0"), "--draws"),
    ],
)
def test_wrong_use_is_told(wrong, mine, words, said):
    assert said in wrong("calibrate", mine(), *words)


def test_too_few_rows_for_the_labels_asked_are_told(wrong, data):
    words = ("nas_bench_nlp", "--data", data, "--features", "encoding", "--labels", "20")
    assert "too few" in wrong("calibrate", *words)


def test_an_architecture_that_is_not_of_its_space_is_told(wrong, tmp_path, space):
    luck = Random(1)
    good = [space.sample(luck).to_json() for _ in range(20)]
    bad = good[3].replace("linear", "nonlinear")
    path = tmp_path / "mine.csv"

    def write(cells):
        with path.open("w", newline="") as file:
            out = csv.writer(file)
            out.writerow(["id", "architecture", "loss"])
            out.writerows([f"x{i}", cell, 5 + i / 10] for i, cell in enumerate(cells))

    write([*good[:3], bad, *good[4:]])
    words = ("calibrate", path, *OWN, "--features", "encoding", "--labels", "0,5")
    assert "line 5:" in wrong(*words)
    write(good)
    found = ut.calibrate(path, target="loss", better="lower", features="encoding", labels=[5], draws=2)
    assert len(found.records) == 2


def test_a_cache_of_another_version_is_told(wrong, data, tmp_path):
    cache = tmp_path / "features.csv"
    cache.write_text("arch,features,space,scale,seed,text,reason,gates\nabc,99,rnn_cell,probe,0,,,1.0\n")
    words = ("calibrate", "nas_bench_nlp", "--data", data, "--cache", cache)
    assert "another version of the features" in wrong(*words)


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "nas-bench-nlp").is_dir(), reason="needs the table of NAS-Bench-NLP")
def test_labels_do_no_harm_on_trained_cells():
    found = ut.calibrate("nas_bench_nlp", data=SHARED, features="encoding", labels=[0, 20, 50], draws=20)
    none, *more = [r["tau"] for r in found.records]
    assert none > 0.6
    assert min(more) > none - 0.01


def test_the_curve_is_the_same_whoever_asks():
    first, again = (calibrate(known(), labels=[20], draws=2).records for _ in range(2))
    assert first == again
    assert calibrating.START == 10
