"""The claims of the README on the real tables, where they are at hand."""

from pathlib import Path

import pytest

import untrained as ut
from untrained.core.statistics import spearman_rho

DATA = Path(__file__).parents[3] / "shared" / "data" / "nas-bench-nlp"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason="the published tables are not beside the checkout"),
]


def by_target(found, proxy):
    return {r["target"]: r for r in found.records if r["proxy"] == proxy}


def test_hidden_covariance_at_paper_scale_agrees_with_the_published_values():
    found = ut.correlate("nas_bench_nlp", "hidden_covariance", data=DATA, scale="paper", limit=60)
    for layer in (1, 2, 3):
        name = f"hidden_covariance.layer{layer}"
        pairs = [
            (ours, row.published[name])
            for ours, row in zip(found.columns[name], found.rows, strict=True)
            if ours is not None and name in row.published
        ]
        assert len(pairs) > 30
        assert spearman_rho(*zip(*pairs, strict=True)) >= 0.99


def test_fading_memory_orders_the_cells_at_hand_as_its_definition_does():
    found = ut.correlate(
        "nas_bench_nlp", ["fading_memory", "hidden_covariance"], data=DATA, versus="hidden_covariance"
    )
    ours = by_target(found, "fading_memory")
    assert ours["wikitext2_val_loss"]["tau"] >= 0.69
    assert ours["ptb_test_loss"]["tau"] >= 0.62
    assert ours["wikitext2_val_loss"]["minus_versus_low"] > 0.1
    assert ours["wikitext2_val_loss"]["beats_size"]
    assert ours["wikitext2_val_loss"]["distinct"] == 124  # 125 less one that is known only as diverged
    assert any("125 distinct" in note for note in found.notes)


def test_published_values_give_the_published_table_without_building_anything():
    found = ut.correlate("nas_bench_nlp", "published:hidden_covariance", data=DATA)
    ptb = by_target(found, "published:hidden_covariance.layer1")["ptb_test_loss"]
    assert ptb["n"] > 8_000
    assert ptb["tau"] == pytest.approx(0.37, abs=0.01)
    assert ptb["seconds_per_arch"] == 0.0
