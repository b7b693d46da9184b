"""Strategies that learn a model of what they were told: tpe, bananas, bayesian."""

from __future__ import annotations

import builtins
import importlib.util
import math
from collections import Counter
from random import Random
from typing import Any

import numpy as np
import pytest
import torch

from untrained.core.architecture import Architecture
from untrained.core.ensemble import Ensemble
from untrained.core.errors import MissingExtra, UsageError
from untrained.core.space import Space, choice
from untrained.core.strategy import Ask, Strategy, make
from untrained.core.study import Trial
from untrained.spaces.gpt_decoder import GptDecoder
from untrained.spaces.rnn_cell import RnnCell
from untrained.strategies._decisions import Bins, Declared, toward
from untrained.strategies._past import Past, targets
from untrained.strategies.bananas import acquire
from untrained.strategies.tpe import NEWEST, Counts, Tpe

needs_botorch = pytest.mark.skipif(
    importlib.util.find_spec("botorch") is None, reason="botorch is not installed"
)
NAMES = ["tpe", "bananas", pytest.param("bayesian", marks=needs_botorch)]


class Layered(Space):
    """A tree: how many decisions there are is a decision. The best: width 64, four layers of c, b, c, b."""

    name = "layered"
    layers: int = choice(1, 2, 4)
    width: int = choice(16, 32, 64, 128)
    kind: list[str] = choice("a", "b", "c", "d", per="layers")

    def build(self, arch: Architecture, *, scale: str = "paper", generator: Any = None) -> Any:
        raise NotImplementedError


class Narrow(Layered):
    """The same, with layers that must be different from the one before, and c only on wide networks."""

    name = "narrow"

    def valid(self, arch: Architecture) -> bool:
        wide = arch.width >= 64 or "c" not in arch.kind
        return wide and all(a != b for a, b in zip(arch.kind, arch.kind[1:], strict=False))


class Tiny(Space):
    """Six networks in all."""

    name = "tiny"
    a: int = choice(1, 2, 3)
    b: int = choice(1, 2)

    def build(self, arch: Architecture, *, scale: str = "paper", generator: Any = None) -> Any:
        raise NotImplementedError


def score(arch: Architecture) -> float:
    kinds = sum(k == want for k, want in zip(arch.kind, "cbcb", strict=False))
    return kinds - abs(math.log2(arch.width / 64)) / 2


def trial(number: int, arch: Architecture, value: float | None = None, **more: Any) -> Trial:
    scores = () if value is None else (value,)
    return Trial(number, arch, "rejected" if value is None else "ok", {}, value, scores, **more)


def told(strategy: Strategy, trials: list[Trial]) -> Strategy:
    for each in trials:
        strategy.tell(each)
    return strategy


def search(
    text: str, space: Space, trials: int, *, seed: int = 0, batch: int = 1, restart: int = -1
) -> list[Trial]:
    """Scored by `score`; networks that begin with d are turned away."""
    strategy, done = make(text, space), []
    while len(done) < trials:
        if len(done) == restart:
            strategy = told(make(text, space), done)
        asked = [Ask.of(a).architecture for a in strategy.ask(Random(f"{seed}/{len(done)}"), batch)]
        assert len(asked) == batch
        for arch in asked:
            away = arch.kind[0] == "d"
            done.append(trial(len(done), arch, None if away else score(arch), violation=float(away)))
        told(strategy, done[-batch:])
    return done


# --- what all three keep --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_equal_luck_gives_equal_trials_and_no_network_twice(name: str) -> None:
    first, second = (search(name, Layered(), 40) for _ in range(2))
    assert first == second != search(name, Layered(), 40, seed=1)
    assert len({t.architecture for t in first}) == 40


@pytest.mark.parametrize("name", NAMES)
def test_being_told_again_restores_it_also_between_two_fits(name: str) -> None:
    unbroken = search(name, Layered(), 48, batch=4)
    for restart in (8, 28):
        assert search(name, Layered(), 48, batch=4, restart=restart) == unbroken


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_has_no_network_twice_and_asking_changes_nothing(name: str) -> None:
    strategy = told(make(name, Layered()), search(name, Layered(), 30))
    once = strategy.ask(Random(5), 8)
    assert strategy.ask(Random(5), 8) == once
    strategy.ask(Random(6), 3)
    assert strategy.ask(Random(5), 8) == once
    assert len(set(once)) == 8


@pytest.mark.parametrize("name", NAMES)
def test_it_beats_random_draws(name: str) -> None:
    seeds = range(3)
    found = {
        text: np.mean([max(t.score or -9.0 for t in search(text, Layered(), 60, seed=s)) for s in seeds])
        for text in (name, "random_search")
    }
    assert found[name] >= found["random_search"] + 0.5
    assert found[name] >= 3.5


@pytest.mark.parametrize("name", NAMES)
def test_only_valid_networks_where_few_combinations_are(name: str) -> None:
    space = Narrow()
    trials = search(name, space, 60)
    for each in trials:
        space.validate(each.architecture)
    assert max(t.score or -9.0 for t in trials) >= 3.0  # one kind, or two steps of width, from the best


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("status", ["rejected", "failed"])
def test_it_goes_on_where_nothing_has_a_score(name: str, status: str) -> None:
    strategy, seen = make(name, Layered()), set()
    for n in range(25):
        (arch,) = strategy.ask(Random(n))
        away = float(arch.width) if status == "rejected" else 0.0
        strategy.tell(Trial(n, Ask.of(arch).architecture, status, violation=away))
        seen.add(arch)
    assert len(seen) == 25
    if status == "rejected":  # it goes to where the miss is smaller
        late = Counter(Ask.of(a).architecture.width for a in strategy.ask(Random(99), 8))
        assert late[128] <= 2


@pytest.mark.parametrize("name", NAMES)
def test_a_space_that_is_used_up_is_asked_again(name: str) -> None:
    strategy = make(f"{name}:start=2", Tiny())
    found = set()
    for n in range(12):
        (arch,) = strategy.ask(Random(n))
        found.add(arch)
        strategy.tell(trial(n, Ask.of(arch).architecture, float(n % 3)))
    assert len(found) == 6
    assert len(strategy.ask(Random(0), 8)) == 8


@pytest.mark.parametrize("name", NAMES)
def test_cheap_looks_serve_until_there_are_enough_dear_ones(name: str) -> None:
    cheap = search(name, Layered(), 40)
    told_cheap = told(make(name, Layered()), [t for t in cheap if t.score is not None])
    for t in cheap:
        told_cheap.tell(Trial(t.number, t.architecture, t.status, {}, t.score, t.scores, fidelity=0))
    untold = make(name, Layered())
    for t in cheap[:9]:
        untold.tell(Trial(t.number, t.architecture, t.status, {}, t.score, t.scores))
    assert not set(told_cheap.ask(Random(0), 8)) & {t.architecture for t in cheap}
    assert untold.ask(Random(3)) == [untold.space.sample(Random(3))]


@pytest.mark.parametrize("name", ["tpe", "bananas"])
def test_what_was_told_before_counts_once(name: str) -> None:
    trials = search(name, Layered(), 30)
    again = [
        Trial(30 + t.number, t.architecture, t.status, {}, t.score, t.scores, same_as=t.number)
        for t in trials
    ]
    assert told(make(name, Layered()), trials).ask(Random(1), 4) == told(
        make(name, Layered()), trials + again
    ).ask(Random(1), 4)


@pytest.mark.parametrize(
    "text",
    [
        "tpe:start=0",
        "tpe:share=1",
        "tpe:most=0",
        "tpe:candidates=0",
        "tpe:edits=0",
        "tpe:prior=0",
        "tpe:prior=nan",
        "bananas:start=0",
        "bananas:members=1",
        "bananas:every=0",
        "bananas:points=1",
        "bananas:candidates=0",
        "bananas:acquisition=best",
        "bayesian:start=0",
        "bayesian:points=1",
        "bayesian:candidates=0",
        "tpe:x=1",
    ],
)
def test_bad_options_are_named(text: str) -> None:
    option = text.partition(":")[2].partition("=")[0]
    with pytest.raises(UsageError, match=option):
        make(text, Layered())


# --- tpe --------------------------------------------------------------------------------------------------


class Three(Space):
    """One decision of three options."""

    name = "three"
    x: int = choice(0, 1, 2)

    def build(self, arch: Architecture, *, scale: str = "paper", generator: Any = None) -> Any:
        raise NotImplementedError


def test_densities_by_hand() -> None:
    """Ten trials: the best one took 2; the others took 0 six times and 1 three times, all of full weight."""
    options = Declared(Three())
    counts = Counts(options, 0.1, 25, 1.0)
    for n, x in enumerate([0, 0, 0, 1, 1, 2, 0, 0, 0, 1]):
        arch = Architecture.of("three", x=x)
        counts.tell((2, 9.0 if x == 2 else -float(n)), arch, options.places(arch))
    cumulative, ratio = counts.densities()
    good, rest = np.array([1, 1, 4]) / 6, np.array([19, 10, 1]) / 30  # a third of a trial each for evenness
    assert cumulative == pytest.approx(np.cumsum(good))
    assert ratio == pytest.approx(np.log(good / rest))


@pytest.mark.parametrize("seed", range(4))
def test_counts_are_those_of_sorting_everything_again(seed: int) -> None:
    """The bookkeeping of `tell` against the definition, with ties, at every size up to 400."""
    space, rng = Layered(), Random(seed)
    options = Declared(space)
    counts = Counts(options, 0.1, 25, 1.0)
    done: list[tuple[float, int, Any]] = []
    for n in range(400):
        arch = space.sample(rng)
        value = float(rng.randrange(12))
        places = options.places(arch)
        counts.tell((2, value), arch, places)
        done.append((-value, n, places))
        size = min(25, math.ceil(0.1 * len(done)))
        ranked = sorted(done, key=lambda row: row[:2])
        good, rest = (np.full(counts.even.shape, 0.0) for _ in range(2))
        for _, _, taken in ranked[:size]:
            good[taken] += 1
        total = n + 1
        for _, number, taken in ranked[size:]:
            old = number < total - NEWEST
            rest[taken] += 1 / total + (1 - 1 / total) * number / max(1, total - NEWEST - 1) if old else 1
        if n % 7 == 0 or n < 40:
            _, ratio = counts.densities()
            shares = [
                np.concatenate(
                    [part / part.sum() for part in np.split(c + counts.even, options.starts[1:-1])]
                )
                for c in (good, rest)
            ]
            assert ratio == pytest.approx(np.log(shares[0]) - np.log(shares[1]), abs=1e-9)


def test_a_layer_is_counted_only_in_trials_that_had_it() -> None:
    options = Declared(Layered())
    short = Architecture.of("layered", layers=1, width=16, kind=("c",))
    deep = Architecture.of("layered", layers=4, width=128, kind=("a", "b", "c", "d"))
    # layers 0-2, width 3-6, then four kinds a layer
    assert options.places(short).tolist() == [0, 3, 9]
    assert options.places(deep).tolist() == [2, 6, 7, 12, 17, 22]
    assert options.architecture(np.array([2, 6, 7, 12, 17, 22])) == deep
    assert options.architecture(np.array([0, 3, 9, 12, 17, 22])) == short
    assert options.taken(np.array([[0, 3, 9, 12, 17, 22]])).tolist() == [
        [True, True, True, False, False, False]
    ]
    assert options.key(short) == options.key(short) != options.key(deep)


def test_rejected_trials_rank_behind_scored_ones_by_how_far_out_they_were() -> None:
    space = Three()
    strategy = make("tpe", space)
    assert isinstance(strategy, Tpe)
    archs = [Architecture.of("three", x=x) for x in range(3)]
    strategy.tell(Trial(0, archs[0], "failed", reason="x"))
    strategy.tell(Trial(1, archs[0], "rejected", violation=5.0))
    strategy.tell(Trial(2, archs[1], "rejected", violation=0.1))
    strategy.tell(trial(3, archs[2], -1e9))
    assert [row[0][2] for row in strategy.counts[None].ranked] == [3, 2, 1, 0]


def test_toward_takes_over_what_goes_together() -> None:
    space = Narrow()
    options = Declared(space)
    base = Architecture.of("narrow", layers=2, width=32, kind=("a", "b"))
    target = Architecture.of("narrow", layers=4, width=16, kind=("d", "d", "a", "c"))
    # Four layers a b a b; 16 channels; d; the second d would repeat it; a stays; no c on a narrow network.
    assert toward(space, options, base, target) == Architecture.of(
        "narrow", layers=4, width=16, kind=("d", "b", "a", "b")
    )
    assert not space.valid(target)


def test_draws_that_are_hardly_ever_valid_become_valid() -> None:
    space = GptDecoder(family="lts")
    strategy, rng = make("tpe", space), Random(0)
    for n in range(30):
        arch = space.sample(rng)
        strategy.tell(trial(n, arch, float(arch.width)))
    for arch in strategy.ask(Random(1), 4):
        space.validate(Ask.of(arch).architecture)


def test_bins_cut_each_coordinate_of_the_encoding() -> None:
    space = RnnCell()
    bins, other = Bins(space), Bins(space)
    arch = space.sample(Random(3))
    places = bins.places(arch)
    assert len(places) == len(space.encode(arch)) == len(bins.starts) - 1
    assert (bins.starts[:-1] <= places).all()
    assert (places < bins.starts[1:]).all()
    assert (places == other.places(arch)).all()
    assert bins.key(arch) == arch


def test_cells_get_better_where_nothing_is_declared() -> None:
    space = RnnCell()
    goal = space.encode(space.classic("gru"))

    def near(text: str, seed: int) -> float:
        strategy, best = make(text, space), -math.inf
        for n in range(60):
            arch = Ask.of(strategy.ask(Random(f"{seed}/{n}"))[0]).architecture
            value = -sum(abs(a - b) for a, b in zip(space.encode(arch), goal, strict=True))
            strategy.tell(trial(n, arch, value))
            best = max(best, value)
        return best

    assert sum(near("tpe", s) for s in range(2)) > sum(near("random_search", s) for s in range(2))


# --- what a model learns from -----------------------------------------------------------------------------


def test_the_past_keeps_the_best_and_the_newest() -> None:
    past = Past(8, 10)
    for n, value in enumerate([5, 9, 1, 2, 8, 3, 7, 4, 0, 6, 1, 2]):
        past.tell(trial(n, Architecture.of("three", x=n), float(value)))
    assert [t.number for t in past.best] == [1, 4, 6, 9]
    assert [t.number for t in past.rows()] == [1, 4, 6, 8, 9, 10, 11]
    assert past.marked[0] == 10
    assert [t.number for t in past.marked[1]] == [1, 4, 6, 7, 8, 9]


def test_of_several_objectives_the_past_keeps_the_front() -> None:
    past = Past(8, 10)
    for n, scores in enumerate([(1.0, 1.0), (2.0, 0.0), (0.0, 0.0), (1.5, 1.5), (2.0, 0.0)]):
        past.tell(Trial(n, Architecture.of("three", x=n), "ok", {}, scores[0], scores))
    assert [t.number for t in past.best] == [1, 3, 4]


def test_what_has_no_score_is_worth_the_worst() -> None:
    archs = [Architecture.of("three", x=x) for x in range(4)]
    missed = [Trial(2, archs[2], "rejected", violation=3.0), Trial(3, archs[3], "failed", reason="x")]
    scored = [Trial(0, archs[0], "ok", {}, 1.0, (1.0, 5.0)), Trial(1, archs[1], "ok", {}, 2.0, (2.0, 4.0))]
    assert targets(scored + missed).tolist() == [[1, 5], [2, 4], [1, 4], [1, 4]]
    assert targets([*missed, Trial(4, archs[0], "rejected", violation=1.0)]).tolist() == [[-3], [-3], [-1]]


# --- bananas ----------------------------------------------------------------------------------------------


def test_gradients_are_those_of_autograd() -> None:
    rng = np.random.default_rng(0)
    codes, worth = rng.normal(size=(12, 5)), rng.normal(size=12)
    ensemble = Ensemble(codes, worth, members=3, seed=1)
    inputs = rng.normal(size=(3, 7, 5)).astype(np.float32)
    wanted = rng.normal(size=(3, 7)).astype(np.float32)
    weights = [torch.tensor(w, requires_grad=True) for w in ensemble.weights]
    hidden = torch.tensor(inputs)
    for k in (0, 2):
        hidden = torch.relu(hidden @ weights[k] + weights[k + 1])
    guess = (hidden @ weights[4] + weights[5])[..., 0]
    (guess - torch.tensor(wanted)).abs().mean(1).sum().backward()
    found = torch.cat([w.grad.flatten() for w in weights if w.grad is not None])
    assert ensemble.gradient(inputs, wanted) == pytest.approx(found.numpy(), abs=1e-6)


def test_the_ensemble_learns_a_sum_and_is_unsure_far_away() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2, size=(200, 10)).astype(float)
    truth = codes @ np.arange(10.0)
    ensemble = Ensemble(codes[:150], truth[:150] + 1_000, members=5, seed=0)
    mean, near = ensemble.predict(codes[150:])
    assert np.corrcoef(mean, truth[150:])[0, 1] > 0.95
    assert abs(mean.mean() - 1_000 - truth[150:].mean()) < 3
    _, far = ensemble.predict(codes[150:] * 10 - 5)
    assert far.mean() > 3 * near.mean()
    again, _ = Ensemble(codes[:150], truth[:150] + 1_000, members=5, seed=0).predict(codes[150:])
    assert (again == mean).all()


def test_acquisitions_by_hand() -> None:
    mean, spread = np.array([0.0, 1.0, -50.0, -60.0]), np.array([5.0, 5.0, 5.0, 5.0])
    assert acquire("ucb", mean, spread, 0.0, Random(0)).tolist() == [2.5, 3.5, -47.5, -57.5]
    ei = acquire("ei", mean, spread, 0.0, Random(0))  # the spread is 5 / 5 = 1
    assert ei[0] == pytest.approx(math.log(0.3989422804))  # at the best: the density at 0
    assert ei[1] == pytest.approx(math.log(0.8413447461 + 0.2419707245))  # one above: Phi(1) + phi(1)
    assert ei[1] > ei[0] > ei[2] > ei[3]  # both last improvements are 0 in floating point
    certain = acquire("its", mean, np.zeros(4), 0.0, Random(0))
    assert certain.tolist() == mean.tolist()
    drawn = np.array([acquire("its", mean[:2], spread[:2], 0.0, Random(s)) for s in range(400)])
    assert drawn.mean(0) == pytest.approx([0.0, 1.0], abs=0.8)
    assert drawn.std(0) == pytest.approx([5.0, 5.0], abs=0.6)


# --- bayesian -----------------------------------------------------------------------------------------------


@needs_botorch
def test_global_luck_stays_as_it_was() -> None:
    strategy = told(make("bayesian", Layered()), search("bayesian", Layered(), 12))
    before = torch.random.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    strategy.ask(Random(0), 3)
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert before[1] == np.random.get_state()[1].tolist()  # noqa: NPY002
    assert torch.get_default_dtype() is torch.float32


@needs_botorch
def test_the_kernel_falls_with_the_number_of_decisions_that_differ() -> None:
    strategy: Any = make("bayesian", Layered())
    rng = Random(0)
    archs = [
        Architecture.of("layered", layers=2, width=w, kind=k) for w, k in ((16, "aa"), (32, "aa"), (32, "bb"))
    ]
    past = Past(300, 10)
    for n in range(20):
        past.tell(trial(n, strategy.space.sample(rng), rng.random()))
    model, place = strategy._fitted(past)
    inputs = torch.from_numpy(place(np.array([strategy._code(a) for a in archs])))
    kernel = model.covar_module.base_kernel
    found = kernel(inputs).to_dense().detach()
    length = float(kernel.lengthscale.detach())
    assert found[0].tolist() == pytest.approx([math.exp(-d / (2 * length**2)) for d in (0, 1, 3)])


@needs_botorch
def test_two_objectives_widen_the_front() -> None:
    """The more c the better for the one, the more b for the other: the front is every mix of the two."""

    def front(text: str, seed: int) -> float:
        """Area that the front covers, above (0, 0): at most 6, by (3, 1), (2, 2) and (1, 3)."""
        strategy, met = make(text, Layered()), set()
        for n in range(30):
            arch = Ask.of(strategy.ask(Random(f"{seed}/{n}"))[0]).architecture
            scores = (float(arch.kind.count("c")), float(arch.kind.count("b")))
            strategy.tell(Trial(n, arch, "ok", {}, scores[0], scores))
            met.add(scores)
        return sum(any(c >= i and b >= j for c, b in met) for i in range(1, 5) for j in range(1, 5))

    ours, random = ([front(text, s) for s in range(2)] for text in ("bayesian", "random_search"))
    assert sum(ours) > sum(random)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "untrained.strategies.bayesian.find_spec",
        lambda name, *a: None if name == "botorch" else real(name, *a),
    )
    with pytest.raises(MissingExtra, match=r"pip install 'untrained\[bo\]'"):
        make("bayesian", Layered())


def test_listing_and_making_load_no_botorch(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    real = builtins.__import__

    def watched(name: str, *args: Any, **kwargs: Any) -> Any:
        loaded.append(name.partition(".")[0])
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", watched)
    for name in ("tpe", "bananas"):
        search(name, Layered(), 12)
    assert not {"botorch", "gpytorch", "torch"} & set(loaded)
