"""What the published table says, where it is at hand."""

import json
from pathlib import Path

import pytest

import untrained as ut
from untrained.benchmarks._bert_results import scorer_parameters
from untrained.benchmarks.nas_bench_bert import NasBenchBert
from untrained.core.statistics import kendall_tau

DATA = Path(__file__).parents[3] / "shared" / "data" / "nas-bench-bert"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the published tables are not beside the checkout")


@pytest.fixture(scope="module")
def space():
    return ut.space("bert_encoder")


@pytest.fixture(scope="module")
def records():
    return {str(r["id"]): r for r in json.loads((DATA / "BERT_benchmark.json").read_bytes())}


@pytest.fixture(scope="module")
def rows(space):
    table = NasBenchBert().read(DATA, space)
    assert not table.skipped
    return table.rows


def test_every_row_is_read_with_both_truths_agreeing(rows, records):
    assert len(rows) == len(records) >= 300
    for row in rows:
        assert row.truth == records[row.key]["scores"]
        assert len(row.published) == 15
        tasks = [v for k, v in row.truth.items() if k != "glue"]
        assert row.truth["glue"] == pytest.approx(sum(tasks) / 8)


def test_the_published_parameter_count_is_reproduced_for_every_row(rows, records):
    for row in rows:
        layers = records[row.key]["hparams"]["model_hparam_overrides"]["nas_config"]["encoder_layers"]
        assert scorer_parameters(layers) == row.published["params"], row.key


def test_every_recipe_goes_round(rows, records, space):
    for row in rows:
        space.validate(row.architecture)
        told = records[row.key]["hparams"]["model_hparam_overrides"]
        assert space.to_recipe(row.architecture) == told


def test_equal_recipes_are_twins(rows, records):
    told = {json.dumps(r["hparams"]["model_hparam_overrides"], sort_keys=True) for r in records.values()}
    assert len({row.architecture.id for row in rows}) == len(told) < len(rows)


def test_two_integers_order_the_table_better_than_the_size(rows, space):
    glue = [row.truth["glue"] for row in rows]
    orders = [space.baseline(row.architecture) for row in rows]
    size = [space.count(row.architecture)["params"] for row in rows]
    simple = kendall_tau([o["layers_then_width"] for o in orders], glue)
    assert simple > 0.78
    assert simple > kendall_tau([o["layers_times_width"] for o in orders], glue) > 0.73
    assert kendall_tau(size, glue) < 0.6


def test_what_was_trained_is_ordered_better_by_its_true_size_than_what_the_recipe_says(rows, space):
    glue = [row.truth["glue"] for row in rows]

    def tau(**reading):
        found = NasBenchBert(**reading).read(DATA, space).rows
        return kendall_tau([space.count(row.architecture)["params_nonembedding"] for row in found], glue)

    said, widths, all_of_it = (
        tau(),
        tau(feed_forward="trained"),
        tau(feed_forward="trained", operation="attention"),
    )
    assert said < widths < all_of_it
    assert all_of_it == pytest.approx(0.548, abs=0.05)
