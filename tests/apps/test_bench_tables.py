"""Our own tables from outside: the ceiling beside a correlation, and the released ones made again."""

import json
from dataclasses import fields
from pathlib import Path
from random import Random

import pytest

from untrained.apps.making.families import FAMILIES, family
from untrained.apps.making.making import make
from untrained.apps.making.plan import plan
from untrained.apps.making.running import recipe_of
from untrained.apps.making.worth import released, worth
from untrained.benchmarks import SHIPPED
from untrained.core import registry, runs
from untrained.core.benchmark import Benchmark
from untrained.core.recipe import Recipe
from untrained.spaces.gpt_decoder import GptDecoder

TEXT = Path(__file__).parents[2].parent / "shared" / "data"
NAMES = [name for name in sorted(FAMILIES) if name in registry.names("benchmark")]


@pytest.fixture
def table(tmp_path):
    """Ten decoders with two trainings each, better the more layers they have, and little noise."""
    space, luck = GptDecoder(family="small"), Random(0)
    lines = [runs.head("bench_decoder", {})]
    for _ in range(10):
        arch = space.sample(luck)
        for seed in (0, 1):
            loss = 5 - 0.1 * arch.layers + 0.001 * luck.random()
            one = runs.Run(
                arch=arch,
                band="64k",
                seed=seed,
                params_nonembedding=1,
                tokens=1,
                status="ok",
                loss=loss,
                curve=(7.0, 6.0, 5.5, 5.2, loss),
                learning=(),
                seconds=1.0,
                device="cpu",
                versions={},
            )
            lines.append(one.line())
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join([*lines, ""]))
    return f"bench_decoder:table={path}"


def test_the_ceiling_stands_beside_every_correlation(run, table):
    records = json.loads(run("correlate", table, "-p", "decoder_params", "--json").stdout)
    mine = [r for r in records if r["target"] == "loss"]
    assert len({r["ceiling_tau"] for r in mine}) == 1
    assert 0.8 < mine[0]["ceiling_tau"] <= 1
    assert mine[0]["retested"] == 10
    assert "noise ceiling: a perfect score would have tau" in run("correlate", table, "-p", "params").stdout


def test_without_repetitions_there_is_no_ceiling(run, table, tmp_path):
    path = Path(table.partition("=")[2])
    once = tmp_path / "once.jsonl"
    once.write_text("".join(line + "\n" for line in path.read_text().splitlines() if '"seed":1' not in line))
    records = json.loads(run("correlate", f"bench_decoder:table={once}", "-p", "params", "--json").stdout)
    assert {r["ceiling_tau"] for r in records} == {None}


@pytest.mark.parametrize("name", NAMES)
def test_a_released_table_is_that_of_the_plan(name, run):
    """Each row is a planned training of the design that the code has."""
    made: type[Benchmark] = registry.get("benchmark", name)
    path = SHIPPED / made.files[0].name
    design, found = runs.parsed(name, made.space, path)
    planned = {job.key: job for job in plan(family(name))}
    assert {k: v for k, v in design.items() if k in family(name).design()} == json.loads(
        json.dumps(family(name).design())
    )
    assert all(run.band == planned[run.key].band for run in found)
    in_order = ["classic", *(band.name for band in family(name).bands)]
    assert [run.band for run in found] == sorted((run.band for run in found), key=in_order.index)
    assert path.stat().st_size == made.files[0].bytes < 400_000
    assert runs.sha256(path) == made.files[0].sha256


@pytest.mark.parametrize("name", NAMES)
def test_a_table_tells_the_recipe_that_its_networks_are_trained_with(name):
    """Tables know nothing of training, so that what they tell is written down twice."""
    told: Recipe = registry.get("benchmark", name).recipe
    by_lr = {job.peak_lr: recipe_of(family(name), job) for job in plan(family(name))}
    run = by_lr[told.peak_lr]  # of one band
    same = [f.name for f in fields(Recipe) if f.name != "data"]
    assert {n: getattr(told, n) for n in same} == {n: getattr(run, n) for n in same}


@pytest.mark.slow
@pytest.mark.skipif(not TEXT.is_dir(), reason="needs the text that the tables were made with")
@pytest.mark.parametrize("name", NAMES)
def test_a_released_loss_comes_out_again(name, tmp_path):
    """The network of the table that was trained fastest, trained again; within the noise between seeds."""
    found = released(name)
    whole = worth(name, found)
    fastest = min((r for r in found if r.status == "ok" and r.seed == 0), key=lambda r: r.seconds)
    again = make(name, store=tmp_path / "rows.jsonl", data=TEXT, only=[fastest.arch.id], limit=1).runs[0]
    assert again.key == fastest.key
    assert again.loss == pytest.approx(fastest.loss, abs=4 * (whole.noise or 0.01))
    assert again.curve[0] == pytest.approx(fastest.curve[0], abs=1e-4)  # the same weights
