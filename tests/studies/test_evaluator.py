"""What is measured, in which order, and what becomes of a network that cannot be measured."""

from __future__ import annotations

from typing import Any

import pytest
from toy_search import metric

from untrained.core.architecture import Architecture
from untrained.core.errors import BadText, InvalidArchitecture, MeasurementFailed, MissingExtra
from untrained.core.metric import Metric, Parts
from untrained.core.where import Where
from untrained.studies.evaluator import LONGEST, Evaluator, steady
from untrained.studies.events import Outcome

ARCH = Architecture.of("toy", layers=2, width=8, ratio=(1, 2), kind="relu")


class Desk:
    """Metrics that write down when they were asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def metric(self, name: str, kind: str = "proxy", value: Any = 1.0, **more: Any) -> Metric:
        def function(probe: Any) -> Any:
            self.asked.append(name)
            if isinstance(value, BaseException):
                raise value
            return value

        function.__name__ = name
        return metric(function, kind, **more)

    def probe(self, arch: Architecture, *_: object) -> str:
        self.asked.append("build")
        return "probe"


def evaluate(desk: Desk, metrics: list[Metric], where: str = "", **more: Any) -> Outcome:
    return Evaluator(metrics, desk.probe, where=Where.parse(where), **more)(ARCH)


def test_constraints_come_first_and_cheap_ones_before_all() -> None:
    desk = Desk()
    metrics = [
        desk.metric("extra"),
        desk.metric("goal"),
        desk.metric("guard"),
        desk.metric("latency", "cost", needs=("device",)),
        desk.metric("params", "cost"),
    ]
    found = evaluate(desk, metrics, "guard > 0 and latency < 5 and params < 5", also=["extra"])
    assert desk.asked == ["build", "params", "latency", "guard", "goal", "extra"]
    assert found.status == "ok"
    assert dict(found.values) == dict.fromkeys(("params", "latency", "guard", "goal", "extra"), 1.0)


def test_nothing_is_measured_after_a_broken_constraint() -> None:
    desk = Desk()
    metrics = [desk.metric("goal"), desk.metric("guard"), desk.metric("params", "cost", 9.0)]
    found = evaluate(desk, metrics, "guard > 0 and params  <= 8")
    assert found == Outcome("rejected", {"params": 9.0}, "params <= 8", 1 / 9)
    assert desk.asked == ["build", "params"]


def test_choices_and_closed_forms_turn_away_before_anything_is_built() -> None:
    desk = Desk()
    metrics = [desk.metric("goal"), desk.metric("params", "cost")]
    assert evaluate(desk, metrics, "layers > 2").reason == "layers > 2"
    found = evaluate(
        desk, metrics, "params < 8 and 2 * params > 500", count=lambda a: {"params": 50, "unasked": 1}
    )
    assert found == Outcome("rejected", {"params": 50.0}, "params < 8; 2 * params > 500", 42 / 50 + 400 / 500)
    assert desk.asked == []
    found = evaluate(desk, metrics, "params > 8", count=lambda a: {"params": 50})
    assert dict(found.values) == {"goal": 1.0, "params": 50.0}
    assert desk.asked == ["build", "goal"]


def test_costs_may_look_at_another_network() -> None:
    seen: list[tuple[str, Any]] = []

    def look(name: str) -> Any:
        def function(probe: Any) -> float:
            seen.append((name, probe))
            return 1.0

        function.__name__ = name
        return function

    metrics = [metric(look("goal")), metric(look("params"), "cost"), metric(look("flops"), "cost")]
    made: list[str] = []

    def builder(side: str) -> Any:
        def build(arch: Architecture, *_: object) -> str:
            made.append(side)
            return side

        return build

    found = Evaluator(metrics, builder("small"), cost_probe=builder("full"))(ARCH)
    assert found.status == "ok"
    assert seen == [("params", "full"), ("flops", "full"), ("goal", "small")]
    assert made == ["full", "small"]


def test_parts_are_values_and_may_constrain() -> None:
    desk = Desk()
    metrics = [desk.metric("goal", value=Parts(1.0, {"layer1": 2.0}))]
    assert dict(evaluate(desk, metrics, "goal.layer1 > 1").values) == {"goal": 1.0, "goal.layer1": 2.0}
    assert evaluate(desk, metrics, "goal.layer1 > 3").status == "rejected"
    found = evaluate(desk, metrics, "goal.layer9 > 3")
    assert (found.status, found.reason) == (
        "failed",
        "the constraint names 'goal.layer9', which this network does not have",
    )


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MeasurementFailed("no gradients here"), "no gradients here"),
        (KeyError("hidden"), "KeyError: 'hidden'"),
        (AttributeError("no such\n   layer"), "AttributeError: no such layer"),
        (
            RecursionError("maximum recursion depth exceeded"),
            "RecursionError: maximum recursion depth exceeded",
        ),
        (MemoryError(), "out of memory"),
        (AssertionError(), "AssertionError:"),
        (InvalidArchitecture("too wide"), "InvalidArchitecture: too wide"),
    ],
)
def test_whatever_a_metric_or_a_build_raises_is_a_reason(error: Exception, reason: str) -> None:
    desk = Desk()
    found = evaluate(desk, [desk.metric("params", "cost", 3.0), desk.metric("goal", value=error)])
    assert found == Outcome("failed", {"params": 3.0}, f"goal: {reason}")

    def build(arch: Architecture, *_: object) -> Any:
        raise error

    found = Evaluator([desk.metric("goal")], build)(ARCH)
    assert (found.status, found.values) == ("failed", {})
    assert found.reason in (reason, f"build: {reason}")


def test_a_value_that_is_not_finite_is_a_reason() -> None:
    desk = Desk()
    found = evaluate(desk, [desk.metric("goal", value=float("inf"))])
    assert found.status == "failed"
    assert "inf" in (found.reason or "")
    found = evaluate(desk, [desk.metric("params")], count=lambda a: {"params": float("nan")})
    assert found == Outcome("failed", {}, "params: the value is nan")


def test_what_is_only_for_the_record_may_fail() -> None:
    desk = Desk()
    metrics = [desk.metric("goal"), desk.metric("extra", value=MeasurementFailed("no taps"))]
    found = evaluate(desk, metrics, also=["extra"])
    assert found == Outcome("ok", {"goal": 1.0}, "extra: no taps")
    assert evaluate(desk, metrics, "extra > 0", also=["extra"]).status == "failed"


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), BadText("the text is too short"), MissingExtra("a", "b", "c")]
)
def test_what_the_user_has_to_mend_ends_the_search(error: BaseException) -> None:
    desk = Desk()
    with pytest.raises(type(error)):
        evaluate(desk, [desk.metric("goal", value=error)])


def test_reasons_are_the_same_in_every_run() -> None:
    assert steady(f"<Layer object at {hex(id(object()))}>") == "<Layer object at 0x...>"
    assert steady("CUDA out of memory. Tried to allocate 3.1 GiB, 12 MiB free") == "CUDA out of memory"
    assert steady("bad shape\nException raised from check at a.cpp:3\nframe #0") == "bad shape"
    assert len(steady("x" * 9999)) == LONGEST


def test_settings_are_part_of_a_name() -> None:
    def depth(probe: Any, *, layer: int = 1) -> float:
        return float(layer)

    found = Evaluator([metric(depth).with_options(layer=3), metric(depth)], lambda a, *_: a)(ARCH)
    assert dict(found.values) == {"depth:layer=3": 3.0, "depth": 1.0}
