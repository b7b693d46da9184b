"""Labels of another table, and what the noise of labels allows."""

import json
from random import Random

import numpy as np
import pytest

from untrained.apps.calibrating import _split, _tested, calibrate
from untrained.apps.carrying import holds_beyond
from untrained.apps.ceiling import ceiling
from untrained.apps.labelled import Known, fitted_on, from_benchmark
from untrained.apps.probing import Lab
from untrained.core.benchmark import Benchmark, Row, Table, Target
from untrained.core.errors import UsageError
from untrained.core.recipe import Recipe
from untrained.core.statistics import kendall_tau
from untrained.metrics.predictors.ridge_on_ranks import RidgeOnRanks
from untrained.spaces.rnn_cell import RnnCell


def table(name, rows=40, seed=0, names=("mine", "a", "b"), slope=1.0):
    """The truth is the prior and one more column."""
    rng = np.random.default_rng(seed)
    codes = rng.normal(size=(rows, len(names)))
    truth = codes[:, 0] + slope * codes[:, 1]
    ids = [f"{name}{i}" for i in range(rows)]
    return Known(ids, ids, codes, truth.copy(), truth.copy(), np.full(rows, 10.0), "mine", names=list(names))


# --- labels of another table ------------------------------------------------------------------------------


def test_labels_come_from_the_one_and_are_scored_on_the_other():
    both = fitted_on(table("x", 40), table("y", 30, seed=1))
    assert np.isfinite(both.label).sum() == 40
    assert np.isfinite(both.quality).sum() == 30
    assert not (np.isfinite(both.label) & np.isfinite(both.quality)).any()
    train, test = _split(both, 0, 0, _tested(both, 40))
    assert {both.ids[i][0] for i in train} == {"x"}
    assert sorted(both.ids[i] for i in test) == sorted(table("y", 30, seed=1).ids)


def test_what_the_two_share_carries_over_and_all_labels_are_among_the_usual():
    found = calibrate(fitted_on(table("x", 120), table("y", 60, seed=1)), draws=3).records
    assert [r["labels"] for r in found] == [0, 20, 50, 100, 120]
    assert {r["tested"] for r in found} == {60}
    assert found[-1]["gain"] > 0.1
    against = calibrate(fitted_on(table("x", 120, slope=-1.0), table("y", 60, seed=1)), draws=3).records
    assert against[-1]["gain"] < -0.05  # labels of a table where it is the other way round do harm


def test_the_unit_and_the_middle_of_a_table_change_nothing_of_what_is_carried():
    first, far = table("x", 120), table("x", 120)
    far.codes = 1e3 * far.codes - 7e3
    told = [calibrate(fitted_on(t, table("y", 60, seed=1)), labels=[120], draws=1) for t in (first, far)]
    assert told[0].records[1]["gain"] > 0.1
    assert told[0].records[1]["tau"] == told[1].records[1]["tau"]


def test_labels_that_teach_nothing_leave_the_prior_of_the_other_table():
    first = table("x", 120)
    first.label = first.codes[:, 0] + 0.7 * np.random.default_rng(5).normal(size=120)
    found = calibrate(fitted_on(first, table("y", 60, seed=1)), labels=[20, 120], draws=3).records
    assert [r["gain"] for r in found] == [0.0] * 3
    assert [r["fell_back"] for r in found] == [None, 1.0, 1.0]
    used = calibrate(fitted_on(table("x", 120), table("y", 60, seed=1)), labels=[120], draws=3).records
    assert used[1]["fell_back"] == 0.0
    assert calibrate(table("x", 120), labels=[20], draws=2).records[1]["fell_back"] is None


def test_a_correction_that_is_right_only_where_it_was_learned_is_not_carried():
    """The truth follows the second column in the worse half by the prior, and is against it in the other."""
    first, turned = table("x", 200), table("x", 200)
    turned.label = turned.codes[:, 0] + np.sign(-turned.codes[:, 0]) * turned.codes[:, 1]

    def make():
        return RidgeOnRanks(prior=0)

    assert holds_beyond(first, make, np.arange(200))
    assert not holds_beyond(turned, make, np.arange(200))
    assert not holds_beyond(first, make, np.arange(4))  # too few to be sure of


def test_without_a_prior_there_is_nothing_to_fall_back_to():
    first, second = (table(n, 120, seed=s, names=("a", "b", "c")) for n, s in (("x", 0), ("y", 1)))
    first.prior = second.prior = "none"
    found = calibrate(fitted_on(first, second), labels=[120], draws=2).records
    assert found[1]["tau"] > 0.5
    assert found[1]["fell_back"] is None
    assert found[1]["gain_networks_low"] is None


def test_only_columns_that_both_have_are_learned_from_in_the_order_of_the_second():
    first = table("x", names=("mine", "b", "c", "a"))
    second = table("y", names=("mine", "a", "b"), seed=1)
    both = fitted_on(first, second)
    assert both.names == ["mine", "a", "b"]
    for row, own in (("x3", first.codes[:, [0, 3, 1]]), ("y3", second.codes)):
        low, high = np.quantile(own, [0.16, 0.84], axis=0)
        placed = (own[3] - np.median(own, axis=0)) / ((high - low) / 2)
        assert both.codes[both.ids.index(row)] == pytest.approx(placed)
    assert "2 columns" in both.notes[0] or "3 columns" in both.notes[0]


def test_a_network_of_both_tables_is_never_labelled_where_it_is_scored_on():
    first, second = table("x"), table("y", seed=1)
    second.ids[:5] = first.ids[:5]
    both = fitted_on(first, second)
    assert len(both.ids) == len(set(both.ids)) == 75
    for draw in range(4):
        train, test = _split(both, draw, 0, _tested(both, 20))
        assert not set(train) & set(test)
        assert len(test) == 40


def test_tables_without_a_common_feature_are_told():
    with pytest.raises(UsageError, match="no feature in common"):
        fitted_on(table("x", names=("mine", "a", "b")), table("y", names=("mine", "c", "d")))


@pytest.fixture(scope="module")
def cells():
    class Small(Benchmark):
        """Not registered: handed in."""

        name, space, files = "small", "rnn_cell", ()
        targets = (Target("loss", "nats", "lower"),)
        recipe = Recipe("text", epochs=1, batch=1, length=1, optimizer="SGD", peak_lr=1.0)

        def read(self, folder, space):
            return Table(())

    space, luck = RnnCell(), Random(5)
    archs = list(dict.fromkeys(space.sample(luck) for _ in range(24)))
    return Small(), [Row(str(i), {"loss": 5 + (i * 7 % 11) / 10}, a) for i, a in enumerate(archs)], Lab(space)


def test_two_parts_of_one_space_share_prior_statistics_and_encoding(cells):
    bench, rows, lab = cells
    first, second = (from_benchmark(bench, rows[i : i + 12], lab) for i in (0, 12))
    both = fitted_on(first, second)
    assert both.names[0] == "gated_memory"
    assert "ln_gain" in both.names
    assert "rnn_cell[0]" in both.names
    assert len(both.ids) == len(rows)
    assert np.isfinite(both.codes).all()


def test_a_table_is_not_fitted_on_itself_nor_a_csv_on_another(wrong, tmp_path):
    assert "--learn NAME" in wrong("calibrate", "nas_bench_nlp", "--fit-on", "nas_bench_nlp")
    assert "one CSV" in wrong("calibrate", tmp_path / "mine.csv", "--fit-on", "nas_bench_nlp")


def test_an_unknown_table_to_fit_on_is_told(wrong, data):
    words = ("nas_bench_nlp", "--data", data, "--features", "encoding")
    assert "lts_gpt2_wt103" in wrong("calibrate", *words, "--fit-on", "lts_gpt2_wt10")


# --- noise ------------------------------------------------------------------------------------------------


def noisy(noise, rows=300, twice=60, seed=0):
    """Qualities of variance 1, each the mean of the trainings that are told; all but `twice` have one."""
    rng = np.random.default_rng(seed)
    true = rng.normal(size=rows)
    runs = [(true[i] + noise * rng.normal(size=2 if i < twice else 1)).tolist() for i in range(rows)]
    quality = np.array([np.mean(r) for r in runs])
    ids = [f"x{i}" for i in range(rows)]
    size = np.full(rows, 10.0)
    return true, Known(ids, ids, rng.normal(size=(rows, 2)), quality, quality, size, "luck", trainings=runs)


@pytest.mark.parametrize("noise", [0.1, 0.5])
def test_the_ceiling_is_what_the_truth_itself_reaches(noise):
    true, known = noisy(noise)
    found = ceiling(known)
    assert found.networks == 60
    assert found.noise == pytest.approx(noise, rel=0.25)
    assert found.tau == pytest.approx(kendall_tau(true, known.quality), abs=0.03)
    assert found.tau_low <= found.tau <= found.tau_high
    assert found.retest < found.tau  # there both sides have noise
    assert abs(found.prior) < 0.4  # which here is luck
    assert found.tau_better_half < found.tau
    assert 0.5 < found.hard_pairs <= 1


def test_without_noise_the_ceiling_is_one():
    assert ceiling(noisy(0.0)[1]).tau == pytest.approx(1.0)


def test_labels_of_nothing_but_noise_have_no_ceiling_above_chance():
    rng = np.random.default_rng(0)
    runs = rng.normal(size=(1000, 2))
    known = noisy(0.5, rows=1000)[1]
    known.trainings, known.quality = runs.tolist(), runs.mean(1)
    assert abs(ceiling(known).tau) < 0.35


def test_noise_is_that_of_networks_of_like_quality_and_a_failure_does_not_hide_the_rest():
    """Good networks differ by 0.01, bad ones by 1, and one training failed."""
    rng = np.random.default_rng(0)
    true = np.linspace(0, 10, 200)
    runs = [(t + (1.0 if t < 5 else 0.01) * rng.normal(size=2)).tolist() for t in true]
    runs[150][1] -= 50
    known = noisy(0.5, rows=200)[1]
    known.trainings, known.quality = runs, np.array([np.mean(r) for r in runs])
    found = ceiling(known)
    assert found.tau_better_half > 0.9
    assert 0.85 < found.tau < 0.97
    assert found.noise < 1


def test_without_repeated_trainings_nothing_is_told_of_noise():
    assert ceiling(noisy(0.5, twice=4)[1]) is None
    assert ceiling(table("x")) is None


def test_the_screen_says_whether_there_is_a_ceiling(run, tmp_path):
    path = tmp_path / "mine.csv"
    rng = np.random.default_rng(0)
    lines = [f"x{i},{a!r},{b!r},{a + b!r}" for i, (a, b) in enumerate(rng.normal(size=(40, 2)).tolist())]
    path.write_text("\n".join(["id,fading_memory,gates,loss", *lines]))
    words = ("calibrate", path, "--target", "loss", "--better", "higher", "--labels", "20", "--draws", "2")
    assert "no ceiling" in run(*words).stdout
    assert all("ceiling" not in r for r in json.loads(run(*words, "--json").stdout))
