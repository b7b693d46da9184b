"""Figures: places worked by hand, what they say in words, and that no name can be more than a name."""

import json
import re
from xml.etree import ElementTree

import pytest

from untrained.apps.report.figures import views
from untrained.apps.report.figures.architecture import drawing
from untrained.apps.report.figures.axes import Axis, Scale, short, wide
from untrained.apps.report.figures.bars import Bar, bars
from untrained.apps.report.figures.cell import columns, spoken
from untrained.apps.report.figures.layers import stacked
from untrained.apps.report.figures.plot import Point, plot
from untrained.apps.report.figures.thin import thinned
from untrained.core import registry
from untrained.core.architecture import Architecture
from untrained.core.space import Graph

NASTY = "</script><script>alert(1)</script>\"'<img src=x onerror=alert(2)>"


def test_places_are_shares_of_the_plot():
    scale = Scale([10, 20])
    assert scale.place(15) == pytest.approx(50)
    assert scale.place(20) - scale.place(10) == pytest.approx(100 / 1.06)  # 3 % stay free at each end
    log = Scale([1, 100], log=True)
    assert log.place(10) == pytest.approx(50)
    assert not Scale([0, 100], log=True).log


@pytest.mark.parametrize(
    ("values", "log", "ticks"),
    [
        ([0, 10], False, [0, 2, 4, 6, 8, 10]),
        ([-1, 1], False, [-1.0, -0.5, 0, 0.5, 1.0]),
        ([1e6, 2e8], True, [1e6, 3e6, 1e7, 3e7, 1e8]),
        ([7, 7], False, [6.5, 6.75, 7, 7.25, 7.5]),
    ],
)
def test_ticks_are_round(values, log, ticks):
    assert Scale(values, log=log).ticks() == ticks


def test_numbers_in_few_letters():
    assert [short(v) for v in (8e6, 1.25e9, 0.031, 512)] == ["8M", "1.25G", "0.031", "512"]
    assert wide([1, 100])
    assert not wide([1, 99])
    assert not wide([0, 1000])


def test_thinning_keeps_outliers():
    x = [i % 100 / 1000 for i in range(10_000)] + [50.0]
    kept = thinned(x, [0.0] * 10_000 + [9.0], 50)
    assert len(kept) <= 50
    assert 10_000 in kept
    assert thinned([1, 2], [1, 2], 5) == [0, 1]
    assert len(thinned(list(range(9999)), list(range(9999)), 100)) == 100


def test_the_best_so_far():
    scores = [(0, 1.0), (2, 0.5), (3, 2.0), (9, 2.0)]
    assert views.climbed(scores) == [(0, 1.0), (3, 2.0)]
    assert views.climbed(scores, "lower") == [(0, 1.0), (2, 0.5)]
    said = views.progress(scores, Axis("m"))
    assert "reached at trial 3 of 10, after 2 improvements" in said


def test_a_pareto_plot_links_its_front_and_carries_the_dots():
    dots = [Point(10.0 * i, float(i), f"arch{i}", note=f"trial {i}") for i in range(1, 6)]
    front = [Point(10.0, 1.0, "arch1", "#a-arch1"), Point(50.0, 5.0, "arch5", "#a-arch5")]
    said = views.pareto(dots, front, Axis("params", better="lower"), Axis("magic", "nats", "higher"))
    root = ElementTree.fromstring(said)
    links = root.findall(".//a")
    assert [a.get("href") for a in links] == ["#a-arch1", "#a-arch5"]
    assert links[0].get("aria-label") == "arch1: magic 1 nats, params 10"
    left = [float(re.search(r"left:([\d.]+)%", a.get("style")).group(1)) for a in links]
    assert left == pytest.approx([100 * 0.03 / 1.06, 100 * 1.03 / 1.06], abs=0.01)
    data = json.loads(root.find(".//script").text)
    assert [p[2] for p in data["points"]] == [f"arch{i}" for i in range(1, 6)]
    assert "2 of 5 are not beaten" in said
    assert "params, lower is better" in said


def test_many_points_are_thinned_and_it_says_so():
    dots = [Point(float(i % 997), float(i % 991), str(i)) for i in range(20_000)]
    said = views.pareto(dots, [], Axis("x"), Axis("y"), drawn_of=100_000)
    assert "Of 100,000 points 3,000 are drawn." in said
    assert len(said) < 400_000


def test_nothing_to_draw_says_so():
    assert "nothing to draw" in plot([], Axis("x"), Axis("y"), said="none")
    assert "nothing to draw" in views.importance([], said="")
    assert "Nothing failed" in views.failures({}, {}, 7)


def test_bars_are_to_one_scale():
    said = bars([Bar("a", 0.5, "50 %", 0.4, 1.0), Bar("b", 0.25, "25 %")], said="x")
    assert re.findall(r"width:([\d.]+)%", said) == ["50.00", "60.00", "25.00"]
    assert "left:40.00%" in said


def test_columns_of_a_graph_are_its_longest_ways():
    graph = Graph(("x", "h", "a", "b", "out"), ((0, 2), (1, 3), (2, 3), (3, 4), (0, 4)))
    assert columns(graph) == [0, 0, 1, 2, 3]
    assert spoken(graph) == "a reads x; b reads h, a; out reads b, x"
    assert columns(Graph(("a", "b"), ((0, 1), (1, 0))))  # a cycle ends


def test_layers_that_are_equal_are_one_row():
    said = stacked({"width": 64}, {"mixer": ("a", "a", "b"), "heads": (2, 2, 4)}, name="n")
    assert '<p class="shared">width 64</p>' in said
    assert re.findall(r'<th scope="row">([^<]+)</th>', said) == ["1 to 2", "3"]
    assert re.findall(r"width:([\d.]+)%", said) == ["50.0", "100.0"]


@pytest.mark.parametrize("name", registry.names("space"))
def test_every_space_is_drawn(name):
    from random import Random

    space = registry.get("space", name)()
    arch = space.sample(Random(1))
    said = drawing(arch, space)
    ElementTree.fromstring(f"<div>{said}</div>".replace("<wbr>", ""))
    assert arch.id in said


def test_no_name_is_more_than_a_name():
    point = Point(1.0, 2.0, NASTY, f"#{NASTY}", NASTY)
    arch = Architecture.of(NASTY, **{NASTY: NASTY})
    pieces = [
        views.pareto([point], [point], Axis(NASTY), Axis(NASTY, NASTY)),
        views.failures({NASTY: 1}, {NASTY: 2}, 3),
        views.importance([{"choice": NASTY, "gain": 1, "low": 0, "high": 1, "verdict": NASTY}], said=NASTY),
        stacked({NASTY: NASTY}, {NASTY: (NASTY,)}, name=NASTY),
        drawing(arch, None),
    ]
    for piece in pieces:
        root = ElementTree.fromstring(f"<div>{piece}</div>".replace("<wbr>", ""))
        assert "alert(1)" in "".join([*root.itertext(), *(v for e in root.iter() for v in e.attrib.values())])
        assert not root.findall(".//img")
        assert all(s.get("type") == "application/json" for s in root.findall(".//script"))
        assert "</script><script>" not in piece
