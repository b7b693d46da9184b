"""What the published table says, where it is at hand."""

import json
import runpy
from itertools import pairwise
from pathlib import Path

import pytest
import torch

import untrained as ut
from untrained.benchmarks._bert_results import scorer_parameters
from untrained.benchmarks.nas_bench_bert import NasBenchBert
from untrained.core.statistics import kendall_tau, spearman_rho
from untrained.core.text import load

DATA = Path(__file__).parents[3] / "shared" / "data" / "nas-bench-bert"
TEXT = DATA.parent / "text" / "wikitext2_test.txt"
SCORER = Path(__file__).parents[2] / "perf" / "bert_scorer.py"

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


# --- what the authors scored -------------------------------------------------------------------------


def told(record):
    return record["hparams"]["model_hparam_overrides"]["nas_config"]["encoder_layers"]


@pytest.fixture
def authors():
    """Their network and formulas, written apart from the package; on one thread, whatever else runs."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield runpy.run_path(str(SCORER))
    torch.set_num_threads(threads)


def test_every_recipe_has_a_scored_network(rows, space):
    read = NasBenchBert(width="scored").read(DATA, space).rows
    for said, row in zip(rows, read, strict=True):
        assert row.architecture.hidden == 256
        assert {w for widths in row.architecture.inner for w in widths} == {1024}
        assert list(map(len, row.architecture.inner)) == list(map(len, said.architecture.inner))
        assert (row.architecture.operation, row.architecture.heads) == (
            said.architecture.operation,
            said.architecture.heads,
        )


def test_the_size_of_the_scored_networks_orders_them_as_the_published_count(space):
    """Not equal: ours have a map after a transform and no token types."""
    read = NasBenchBert(width="scored").read(DATA, space).rows
    ours = [space.count(row.architecture)["params"] for row in read]
    assert spearman_rho(ours, [row.published["params"] for row in read]) > 0.99


def test_published_activation_distances_count_the_hooks_of_the_networks_before(rows, records):
    """Sum / mean / calls is a whole number that grows by the layers of each network."""
    hooks = {}
    for row in rows:
        total, mean = (row.published[f"activation_distance{n}"] for n in ("", "_normalized"))
        calls = sum(layer["num_feed_forward"] for layer in told(records[row.key]))
        hooks[int(row.key)] = total / mean / calls
        assert hooks[int(row.key)] == pytest.approx(round(hooks[int(row.key)]), abs=1e-3)
    steps = [(b, hooks[b] - hooks[a]) for a, b in pairwise(sorted(hooks)) if b == a + 1]
    assert len(steps) > 100
    assert [round(step) for _, step in steps] == [len(told(records[str(b)])) for b, _ in steps]


@pytest.mark.slow
def test_the_authors_formulas_give_the_published_columns(rows, records, authors):
    """Two sequences of 512 words of another text for 128, and still the same order of the networks.

    Of those with a transform: where there is none, rounding decides on three of these columns (see below).
    """
    tokens = torch.from_numpy(load(TEXT).columns(30_522, 2, 512))
    some = [r for r in rows if {"dft", "dct"} & set(r.architecture.operation)][:12]
    made = [authors["scores"](told(records[row.key]), tokens) for row in some]
    rho = {
        name: spearman_rho([found[name] for found in made], [row.published[name] for row in some])
        for name in made[0]
    }
    assert [found["params"] for found in made] == [row.published["params"] for row in some]
    for row, found in zip(some, made, strict=True):
        for name, rel in (("head_softmax_confidence", 0.02), ("head_confidence", 0.1)):
            assert found[name] == pytest.approx(row.published[name], rel=rel)
    floors = {"activation_distance_normalized": 0.8}
    for end in ("", "_normalized"):
        floors |= {f"{name}{end}": 0.8 for name in ("head_confidence", "head_softmax_confidence")}
        rounding = ("synaptic_diversity", "synaptic_saliency", "head_importance")
        floors |= {f"{name}{end}": 0.6 for name in rounding}
    assert {name: rho[name] for name, floor in floors.items() if rho[name] < floor} == {}


@pytest.mark.slow
def test_the_gradients_that_the_authors_took_are_rounding(records, authors):
    """In double precision, whose numbers are 2^29 times finer, they are smaller by about as much."""
    tokens = torch.from_numpy(load(TEXT).columns(30_522, 2, 64))
    single, double = (
        authors["scores"](told(records["0"]), tokens, double=double) for double in (False, True)
    )
    for name in ("synaptic_saliency", "synaptic_diversity", "head_importance"):
        assert 2**26 < single[name] / double[name] < 2**32
    assert single["head_confidence"] == pytest.approx(double["head_confidence"], rel=1e-3)
