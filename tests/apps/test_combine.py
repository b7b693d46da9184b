"""Several proxies as one order: `--combine` of `rank` and `correlate`, and the same in a script."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator

import pytest
import torch

import untrained as ut
from untrained.apps import correlation
from untrained.core import registry
from untrained.core.aggregate import COMBINATIONS, aggregate
from untrained.core.architecture import Architecture
from untrained.core.errors import MeasurementFailed, UnknownName, UsageError
from untrained.core.metric import proxy

CORRELATE = ["correlate", "nas_bench_nlp", "--workers", "1", "--data"]


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correlation, "DRAWS", 20)


@pytest.fixture
def planted() -> Iterator[None]:
    before = set(registry.names("proxy"))
    yield
    for name in set(registry.names("proxy")) - before:
        registry.forget("proxy", name)


@pytest.fixture
def archs(cells) -> list[Architecture]:
    return [Architecture.from_json(line) for line in cells.read_text().splitlines()]


@pytest.mark.parametrize("how", COMBINATIONS)
def test_rank_orders_by_the_aggregate_of_all_in_their_own_directions(how, run, cells):
    said = run("rank", cells, "-p", "fading_memory,params", "--combine", how, "--json").stdout
    records = json.loads(said)
    table = [[r["fading_memory"], -r["params"]] for r in records]  # fewer parameters are better
    assert [r[how] for r in records] == pytest.approx(aggregate(how, table).tolist())
    assert [r[how] for r in records] == sorted((r[how] for r in records), reverse=True)
    assert [r["rank"] for r in records] == [1, 2, 3, 4, 5]


def test_rank_prints_the_aggregate_as_a_column(run, cells):
    said = run("rank", cells, "-p", "fading_memory,params", "--combine", "borda", "--top", 2).stdout
    lines = said.splitlines()
    assert lines[0].split() == ["rank", "id", "borda", "fading_memory", "params"]
    assert lines[3] == "the best 2 of 5 by borda of 2 metrics: higher is better"


def test_rank_in_a_script(archs):
    plain = ut.rank(archs, ["fading_memory", "params"])
    assert plain.combine == ""
    assert all(place.combined is None for place in plain)
    found = ut.rank(archs, ["fading_memory", "params"], combine="log_rank")
    assert found.records()[0].keys() == {"rank", "arch", "log_rank", "fading_memory", "params"}
    assert found.best == found[0].architecture
    assert "log_rank" in str(found).splitlines()[0]
    assert "log_rank" not in str(plain)


@pytest.mark.usefixtures("planted")
def test_a_network_that_one_metric_fails_on_is_the_worst_by_it_and_one_without_any_comes_last(
    run, archs, cells
):
    broken = {archs[0].id: 1, archs[1].id: 2}
    places = {a.id: float(i) for i, a in enumerate(archs)}
    current = iter(a.id for a in archs for _ in range(2))

    @proxy()
    def one(probe):
        """One."""
        who = next(current)
        if who in broken:
            raise MeasurementFailed("no")
        return places[who]

    @proxy()
    def other(probe):
        """Other."""
        who = next(current)
        if broken.get(who) == 2:
            raise MeasurementFailed("neither")
        return places[who]

    found = ut.rank(archs, ["one", "other"], combine="mean_rank")
    assert [p.architecture for p in found] == [archs[4], archs[3], archs[2], archs[0], archs[1]]
    # The first: rank 1.5 of 5 by `one`, shared with the other failure, and 2 by `other`, above it.
    assert found[3].combined == pytest.approx((1.5 + 2) / 2 / 5)
    assert found[4].combined is None
    assert found.records()[4]["mean_rank"] is None
    assert "failed" in str(found).splitlines()[5]

    current = iter(a.id for a in archs for _ in range(2))
    said = run("rank", cells, "-p", "one,other", "--combine", "mean_rank", "--workers", 1)
    assert "neither" in said.stdout + said.stderr


@pytest.mark.usefixtures("planted")
def test_when_nothing_has_a_number_the_work_has_failed(run, cells, archs):
    @proxy()
    def never(probe):
        """Never."""
        raise MeasurementFailed("not today")

    words = ["rank", cells, "-p", "never,hidden_covariance:layer=9", "--combine", "borda", "--workers", 1]
    assert "not today" in run(*words, code=1).stderr
    assert ut.rank(archs, ["never", "hidden_covariance:layer=9"], combine="borda").best is None
    # Without an order by the first alone, the others decide.
    run("rank", cells, "-p", "never,params", "--combine", "borda", "--workers", 1)


def test_networks_of_ones_own_are_combined_too():
    small, large = torch.nn.LSTM(16, 16), torch.nn.LSTM(16, 48)
    found = ut.rank([small, large], ["params", "params_nonembedding"], combine="mean_rank")
    assert [p.combined for p in found] == [1.0, 0.5]
    assert found[0].measurements["params"].value < found[1].measurements["params"].value
    with pytest.raises(UnknownName, match="no combination"):
        ut.rank([small, large], ["params", "flops"], combine="best")


def test_what_is_asked_wrongly_is_said_before_the_work(wrong, cells, data, archs):
    assert "Did you mean 'mean_rank'" in wrong("rank", cells, "-p", "params,flops", "--combine", "mean_rnk")
    assert "name two or more" in wrong("rank", cells, "-p", "params", "--combine", "borda")
    assert "name two or more" in wrong(*CORRELATE, data, "-p", "lag0_gain", "--combine", "borda")
    assert "no combination is called" in wrong(*CORRELATE, data, "-p", "lag0_gain,params", "--combine", "sum")
    with pytest.raises(UsageError, match="name two or more"):
        ut.rank(archs, "params", combine="log_rank")


def test_correlate_adds_a_row_an_aggregate(run, data, tmp_path):
    words = [*CORRELATE, data, "-p", "fading_memory,lag0_gain"]
    path = tmp_path / "scores.csv"
    more = ["--combine", "mean_rank,log_rank", "--combine", "borda", "--scores", path]
    records = json.loads(run(*words, *more, "--json").stdout)
    plain = json.loads(run(*words, "--json").stdout)
    steady = [{k: v for k, v in r.items() if k != "seconds_per_arch"} for r in records]
    assert [r for r in steady if r["proxy"] not in COMBINATIONS] == [
        {k: v for k, v in r.items() if k != "seconds_per_arch"} for r in plain
    ]
    assert sum(r["proxy"] in COMBINATIONS for r in records) == 3 * 3
    whole = next(r for r in records if r["proxy"] == "log_rank")
    assert whole["seconds_per_arch"] > 0
    assert whole["beats_size"] is not None

    rows = list(csv.DictReader(path.read_text().splitlines()))
    both = ("fading_memory", "lag0_gain")
    distinct = {r["id"]: [float(r[name] or "nan") for name in both] for r in rows}
    assert len(distinct) == 7  # of eight rows two are one cell, and one candidate
    expected = dict(zip(distinct, aggregate("log_rank", list(distinct.values())), strict=True))
    assert [float(r["log_rank"]) for r in rows] == pytest.approx([expected[r["id"]] for r in rows])


def test_published_values_are_combined_without_building_anything(run, data):
    words = [*CORRELATE, data, "-p", "published:all", "--combine", "log_rank", "--json"]
    records = json.loads(run(*words).stdout)
    assert {r["n"] for r in records if r["proxy"] == "log_rank"} == {8}


def test_the_aggregate_takes_a_size_in_the_direction_in_which_rank_does(data):
    """As a row of its own more of it is better; in the aggregate of `rank` less of it is."""
    found = ut.correlate("nas_bench_nlp", ["params", "flops"], data=data, combine="mean_rank")
    ranks = found.columns["mean_rank"]
    smallest = min(range(8), key=lambda i: found.columns["params"][i] + found.columns["flops"][i])
    assert ranks[smallest] == max(ranks)
