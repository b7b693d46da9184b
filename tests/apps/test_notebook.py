"""What a notebook shows of our values, their tables, and the figures for papers."""

import subprocess
import sys
from collections import defaultdict
from xml.etree import ElementTree

import pytest

import untrained as ut
from untrained.apps import api
from untrained.apps.leaderboard.whole import Leaderboard
from untrained.core import frames, shown
from untrained.core.architecture import Architecture
from untrained.core.study import Question, Study, Trial

NASTY = "<img src=x onerror=alert(1)></style><script>alert(2)</script>"


@pytest.fixture(scope="module")
def study() -> Study:
    return api.search(
        "bert_encoder", maximize="depth_width_rank", minimize="params", strategy="random_search", trials=40
    )


def seen(value) -> ElementTree.Element:
    """The box of a value, parsed."""
    said = value._repr_html_()
    root = ElementTree.fromstring(said.replace("<wbr>", ""))
    assert root.get("class") == "untrained-view"
    return root


def words(root: ElementTree.Element) -> str:
    return " ".join("".join(root.itertext()).split())


def test_an_architecture():
    arch = ut.space("bert_encoder").sample(ut.rng(0))
    root = seen(arch)
    assert arch.id in words(root)
    assert len(root.findall(".//table[@class='layers']/tbody/tr")) <= arch.layers
    cell = seen(ut.space("rnn_cell").classic("lstm"))
    assert (
        len(cell.findall(".//rect"))
        == ut.space("rnn_cell").graph(ut.space("rnn_cell").classic("lstm")).labels.__len__()
    )


def test_a_ranking():
    space = ut.space("bert_encoder")
    archs = [space.sample(ut.rng(i)) for i in range(25)]
    ranking = ut.rank(archs, ["depth_width_rank", "params"])
    root = seen(ranking)
    assert "25 architectures, best first by depth_width_rank. The first 20 are shown." in words(root)
    assert len(root.findall(".//div[@aria-label='Table: Ranking']//tbody/tr")) == 20
    assert ranking.best.id in words(root)
    assert [r["arch"] for r in ranking.records()] == list(ranking.table()["arch"])


def test_a_study(study):
    root = seen(study)
    assert "Search of bert_encoder. 40 trials" in words(root)
    assert study.best.id in words(root)
    assert root.findall(".//span[@class='mark']")
    assert not root.findall(".//a")
    assert list(study.table().columns)[:3] == ["trial", "arch", "status"]
    assert len(study.table()) == len(study.records()) == 40


def test_an_overview_of_a_store(tmp_path):
    path = tmp_path / "study.db"
    ut.search("bert_encoder", maximize="depth_width_rank", trials=5, store=path)
    assert "5 trials of bert_encoder" in words(seen(ut.overview(path)))


def test_an_empty_study_and_an_empty_ranking():
    empty = Study(Question("bert_encoder", (("magic", "higher"),)), [])
    assert "No trial was good" in words(seen(empty))
    assert len(empty.table()) == 0
    from untrained.apps.ranking import Ranking

    assert "An empty ranking" in words(seen(Ranking(("params",), ())))


def test_a_correlation(data):
    found = ut.correlate("nas_bench_nlp", "lag0_gain", data=data)
    root = seen(found)
    assert "nas_bench_nlp: wikitext2_val_loss" in words(root)
    assert {"lag0_gain", "params"} <= set(found.table()["proxy"])
    assert len(found.table()) == len(found.records)


def test_a_leaderboard():
    record = {"proxy": NASTY, "plain": True, "tau": 0.5, "tau_low": 0.4, "tau_high": 0.6, "n": 9}
    board = {"name": "toy", "target": "loss", "records": [record]}
    assert list(Leaderboard({}, [board]).table()["benchmark"]) == ["toy"]
    about = defaultdict(str, text=NASTY, scale="probe", release="9")
    root = seen(Leaderboard(about, [], {"toy": NASTY}))
    assert "How to read it" in words(root)
    assert "alert(1)" in words(root)
    assert not root.findall(".//img")


def test_names_stay_names():
    arch = Architecture.of(NASTY, a=NASTY)
    trials = [Trial(0, arch, "ok", {NASTY: 1.0}, 1.0, (1.0,))]
    for value in (arch, Study(Question(NASTY, ((NASTY, "higher"),)), trials, NASTY)):
        root = seen(value)
        assert not root.findall(".//img")
        assert not [s for s in root.iter("script") if s.get("type") != "application/json"]
        assert "alert(1)" in words(root)


def test_without_pandas_a_table_is_a_list(monkeypatch, study):
    monkeypatch.setattr(frames, "find_spec", lambda name: None)
    assert study.table() == study.records()
    assert study.best.table()[0] == {"choice": "heads", "value": study.best.heads}


def test_who_does_not_look_loads_nothing():
    code = (
        "import sys, untrained as ut; a = ut.Architecture.of('toy', n=1); repr(a);"
        "print([m for m in ('untrained.apps.notebook', 'pandas', 'torch') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_nobody_who_draws_means_plain_text(monkeypatch):
    monkeypatch.setattr(shown, "_drawn", [])
    assert Architecture.of("toy", n=1)._repr_html_() is None


def test_figures_for_papers(study):
    pytest.importorskip("matplotlib")
    axes = ut.plot.pareto(study)
    dots, front = axes.lines[0], axes.lines[2]
    assert len(dots.get_xdata()) == len(study.distinct())
    assert sorted(front.get_xdata()) == sorted(t.values["params"] for t in study.front())
    assert axes.get_xlabel() == "params, lower is better"
    climbed = ut.plot.progress(study).lines[1]
    assert climbed.get_ydata()[-1] == study.distinct()[0].score
    assert len(ut.plot.against_size(study).lines[0].get_xdata()) == len(study.distinct())
    assert {t.get_text() for t in ut.plot.importance(study).get_yticklabels()} >= {"layers", "hidden"}


def test_a_figure_takes_the_axes_that_it_is_given(study):
    figure = pytest.importorskip("matplotlib.figure").Figure()
    mine = figure.add_subplot()
    assert ut.plot.progress(study, ax=mine) is mine


def test_a_front_needs_two_objectives():
    one = Study(Question("bert_encoder", (("magic", "higher"),)), [])
    with pytest.raises(ut.UsageError, match="two objectives"):
        ut.plot.pareto(one)


def test_a_picture_without_matplotlib_says_what_to_install(monkeypatch, study):
    from untrained.apps.report import plots

    monkeypatch.setattr(plots, "find_spec", lambda name: None)
    with pytest.raises(ut.UsageError, match=r"pip install 'untrained\[plots\]'"):
        ut.plot.progress(study)
