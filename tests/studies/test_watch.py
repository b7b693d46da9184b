"""What a user is told early."""

from __future__ import annotations

from untrained.core.architecture import Architecture
from untrained.core.study import Trial
from untrained.studies.watch import FIRST, Watch

ARCH = Architecture.of("toy", width=1)


def rejected(params: float, reason: str = "params <= 1000") -> Trial:
    return Trial(0, ARCH, "rejected", {"params": params}, reason=reason)


def test_the_tightest_clause_is_named_once_and_with_the_nearest_number() -> None:
    watch = Watch()
    said = [watch.see(rejected(5000.0 - n)) for n in range(FIRST - 30)]
    said += [watch.see(rejected(9000.0, "params <= 1000; depth > 3")) for _ in range(30)]
    assert said[:-1] == [None] * (FIRST - 1)
    assert said[-1] is not None
    assert "params <= 1000 (turned away 100; the smallest was 4,931)" in said[-1]
    more = [watch.see(rejected(1.0)) for _ in range(9 * FIRST)]
    assert [i for i, s in enumerate(more) if s] == [9 * FIRST - 1]


def test_one_good_trial_is_enough_for_silence() -> None:
    watch = Watch()
    watch.see(Trial(0, ARCH, "ok", score=1.0))
    assert all(watch.see(rejected(1.0)) is None for _ in range(3 * FIRST))


def test_where_all_fail_the_reason_is_told() -> None:
    watch = Watch()
    said = [watch.see(Trial(0, ARCH, "failed", reason="zen: no logits")) for _ in range(FIRST)]
    assert said[-1] == "none of the first 100 architectures has a number; 100 of them: zen: no logits"


def test_a_clause_that_is_no_simple_bound_is_told_without_a_number() -> None:
    watch = Watch()
    said = [watch.see(rejected(5.0, "2 * params <= 3")) for _ in range(FIRST)]
    assert "2 * params <= 3 (turned away 100)" in (said[-1] or "")
