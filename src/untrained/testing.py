"""Conformance: what every plug-in of a kind keeps, as functions that raise AssertionError.

Ours are checked by these because their files exist; a package outside can check its own the same way:

    from untrained.testing import check_proxy
    def test_mine(): check_proxy("mine")
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch

from untrained.core import registry
from untrained.core.architecture import Architecture
from untrained.core.benchmark import Benchmark
from untrained.core.errors import InvalidArchitecture, UsageError
from untrained.core.metric import Measurement, Metric, read_card
from untrained.core.named import construct
from untrained.core.predictor import Predictor, from_json
from untrained.core.space import Shape, Space
from untrained.core.statistics import kendall_tau
from untrained.core.strategy import Ask, Strategy
from untrained.core.strategy import make as make_strategy
from untrained.core.study import Trial
from untrained.core.text import load
from untrained.nn import batch as batches
from untrained.nn.numerics import quiet_numbers
from untrained.nn.probe import Probe

CARD = ("Summary", "Formula", "Shapes", "Cost", "Source")
SHOWN = Shape(vocabulary=2_000, sequences=8, length=40)  # at most; a proxy keeps its promises on little text
LOOKED_AT = 40  # samples of a space, of which the smallest network is taken


def check_metric(kind: str, name: str, space: str, arch: Architecture | None = None) -> Measurement:
    """A proxy or cost on one network of a space, a small one unless told; returns what it measured.

    Repeatable, finite or failed with a reason, silent about everything it looks at: weights, gradients,
    mode, and the global generators stay as they were.
    """
    metric: Metric = registry.get(kind, name)
    assert metric.name == name, f"the file {name}.py registers {metric.name!r}"
    missing = [section for section in CARD if not metric.card.get(section)]
    assert not missing, f"{kind} {name}: the card lacks {', '.join(missing)}"
    assert metric.better in {"higher", "lower"}
    for option in metric.options.values():
        assert option.default is not option.empty, f"{kind} {name}: option {option.name} has no default"
        assert option.annotation is not option.empty, f"{kind} {name}: option {option.name} has no type"
    luck = torch.random.get_rng_state()
    values: list[float | None] = []
    for _ in range(2):
        probe = _probe(space, arch).expect(metric.needs)
        before = {k: v.clone() for k, v in probe.model.state_dict().items()}
        with quiet_numbers():
            found = metric(probe)
        assert found.ok or found.reason, f"{kind} {name}: neither a value nor a reason"
        assert found.value is None or (isinstance(found.value, float) and math.isfinite(found.value))
        after = probe.model.state_dict()
        assert all(torch.equal(before[k], after[k]) for k in before), f"{kind} {name} changes the weights"
        assert all(w.grad is None for w in probe.model.parameters()), f"{kind} {name} leaves gradients behind"
        assert not probe.model.training, f"{kind} {name} leaves the model in training mode"
        values.append(found.value)
    assert torch.equal(luck, torch.random.get_rng_state()), f"{kind} {name} uses torch's global generator"
    if "device" not in metric.needs:
        assert values[0] == values[1], f"{kind} {name}: two measurements differ, {values}"
    return found


def check_proxy(name: str, space: str = "rnn_cell", arch: Architecture | None = None) -> Measurement:
    """`check_metric` for a proxy."""
    return check_metric("proxy", name, space, arch)


def check_cost(name: str, space: str = "rnn_cell", arch: Architecture | None = None) -> Measurement:
    """`check_metric` for a cost."""
    return check_metric("cost", name, space, arch)


def check_sharing(space: str, arch: Architecture | None = None, among: Iterable[str] = ()) -> None:
    """Proxies, all unless told, on one probe: each has the value, or the reason, that it has alone.

    They are asked in both orders, with everything announced beforehand and with nothing announced.
    """
    names = sorted(among) or registry.names("proxy")
    metrics: list[Metric] = [registry.get("proxy", name) for name in names]
    with quiet_numbers():
        alone = {m.name: m(_probe(space, arch).expect(m.needs)) for m in metrics}
        for order in (metrics, metrics[::-1]):
            probe = _probe(space, arch)
            if order is metrics:
                probe.expect(need for m in order for need in m.needs)
            for m in order:
                found, own = m(probe), alone[m.name]
                same = (found.value, found.parts, found.reason) == (own.value, own.parts, own.reason)
                assert same, (
                    f"proxy {m.name} on {space}: {own.value if own.ok else own.reason} alone, and"
                    f" {found.value if found.ok else found.reason} beside the others"
                )


def small_network(space: Space) -> Architecture:
    """Of some samples of a space the one with the fewest parameters beside its embedding."""

    def size(arch: Architecture) -> int:
        counts = space.count(arch, scale=space.scales[-1])
        return counts.get("params_nonembedding", counts.get("params", 0))

    return min((space.sample(Random(i)) for i in range(LOOKED_AT)), key=size)


@lru_cache
def _small(space: str) -> Architecture:
    return small_network(registry.get("space", space)())


def _probe(space: str, arch: Architecture | None) -> Probe:
    """A fresh probe of a small network, shown a little text."""
    place: Space = registry.get("space", space)()
    network = _small(space) if arch is None else arch
    scale = place.scales[-1]
    usual = place.shape(scale)
    batch = batches.from_text(
        load(),
        vocabulary=min(usual.vocabulary, SHOWN.vocabulary),
        sequences=min(usual.sequences, SHOWN.sequences),
        length=min(usual.length, SHOWN.length),
    )

    def build() -> torch.nn.Module:
        return place.build(network, scale=scale, generator=torch.Generator().manual_seed(1_000_003))

    return Probe(build, batch, counts=lambda: place.count(network, scale=scale))


def check_space(name: str, samples: int = 10) -> None:
    """Everything that a space returns is valid, canonical, repeatable, and can be built."""
    found: Space = registry.get("space", name)()
    assert found.name == name
    assert _doc(type(found)), f"space {name}: no docstring"
    assert "Source" in _doc(type(found)), f"space {name}: the docstring names no Source"
    lengths = set()
    for seed in range(samples):
        rng = Random(seed)
        arch, other = found.sample(rng), found.sample(rng)
        made = [arch, found.mutate(arch, rng), found.crossover(arch, other, rng)]
        made += islice(found.neighbours(arch), 5)
        for each in made:
            found.validate(each)
            assert Architecture.from_json(each.to_json()) == each
            assert Architecture.from_json(each.to_json()).id == each.id
            lengths.add(len(found.encode(each)))
        again = Random(seed)
        assert found.sample(again) == arch, f"space {name}: one seed gives two samples"
        assert found.sample(again) == other
        graph = found.graph(arch)
        assert all(0 <= a < len(graph.labels) and 0 <= b < len(graph.labels) for a, b in graph.edges)
    assert len(lengths) == 1, f"space {name}: encodings of different lengths, {sorted(lengths)}"
    _check_build(found, arch)
    _check_refusal(found)


def _check_build(space: Space, arch: Architecture) -> None:
    scale = space.scales[-1]
    nets = [space.build(arch, scale=scale, generator=torch.Generator().manual_seed(3)) for _ in range(2)]
    pairs = zip(nets[0].parameters(), nets[1].parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs), f"space {space.name}: one seed builds two networks"
    counts = space.count(arch, scale=scale)
    if "params" in counts:
        assert counts["params"] == sum(w.numel() for w in nets[0].parameters())


def _check_refusal(space: Space) -> None:
    try:
        space.validate(Architecture.of(space.name, nonsense=1))
    except InvalidArchitecture:
        return
    raise AssertionError(f"space {space.name} accepts an architecture of nonsense")


def check_strategy(name: str, space: Space) -> None:
    """Asks are valid, come from the `rng` alone, and do not change the strategy.

    One that lists a space may refuse a space that has no end.
    """
    try:
        make_strategy(name, space, fidelities=2)
    except UsageError:
        if space.size() is None:
            return
        raise

    def play(rounds: int) -> list[str]:
        strategy: Strategy = make_strategy(name, space, fidelities=2)
        asked = []
        for number in range(rounds):
            ask = Ask.of(strategy.ask(Random(f"7/{number}"), 1)[0])
            again = Ask.of(strategy.ask(Random(f"7/{number}"), 1)[0])
            assert again == ask, f"strategy {name}: asking changes it"
            arch = ask.architecture
            space.validate(arch)
            asked.append(arch.id)
            status = ("ok", "failed", "rejected")[number % 5 // 3 + (number % 7 == 0)]
            score = float(int(arch.id[:4], 16)) if status == "ok" else None
            scores = () if score is None else (score,)
            trial = Trial(number, arch, status, {}, score, scores)
            strategy.tell(replace(trial, fidelity=ask.fidelity, draw=ask.draw, note=ask.note))
        return asked

    assert play(60) == play(60), f"strategy {name}: the same luck gives two searches"
    assert "Source" in _doc(registry.get("strategy", name)), f"strategy {name}: the docstring names no Source"


def check_benchmark(name: str) -> None:
    """A benchmark says whose truth it holds, in what unit, which way is better, and where it comes from."""
    found: Benchmark = registry.get("benchmark", name)()
    for options in found.readings.values():
        construct("benchmark", f"{name}:{options}")
    assert found.name == name
    assert found.space in registry.names("space")
    assert found.targets
    for target in found.targets:
        assert target.unit
        assert target.better in {"higher", "lower"}
    for file in found.files:
        assert file.url.startswith("https://")
        assert len(file.sha256) in {0, 64}
        assert file.licence
    missing = [word for word in ("Source", "Licence", "Rows", "Bytes") if f"{word}:" not in _doc(type(found))]
    assert not missing, f"benchmark {name}: the docstring lacks {', '.join(missing)}"


def check_predictor(name: str) -> None:
    """A predictor fits few rows, refuses bad ones, tells finite numbers, and is the same after a file."""
    made: type[Predictor] = registry.get("predictor", name)
    assert made.name == name, f"the file {name}.py registers {made.name!r}"
    missing = [s for s in CARD if not read_card(inspect.getdoc(made) or "").get(s)]
    assert not missing, f"predictor {name}: the card lacks {', '.join(missing)}"
    rng = np.random.default_rng(7)
    table = rng.normal(size=(40, 6))
    table[:, 4] = 1.0  # a column that never changes
    truth = table[:, 0] + 0.5 * table[:, 1]
    for labels in (2, 5, 30):
        for prior in (-1, 0):
            fitted = made(prior=prior).fit(table[:labels], truth[:labels], table)
            mean, deviation = fitted.predict(table)
            assert mean.shape == deviation.shape == (40,)
            assert np.isfinite(mean).all(), f"predictor {name}: a mean is not finite"
            assert np.isfinite(deviation).all(), f"predictor {name}: a deviation is not finite"
            assert (deviation >= 0).all(), f"predictor {name}: a deviation is negative"
            again = from_json(fitted.to_json()).predict(table)
            same = np.array_equal(mean, again[0]) and np.array_equal(deviation, again[1])
            assert same, f"predictor {name} differs after it was saved"
    seen = made().fit(table[:30], truth[:30], table)
    turned = rng.permutation(30)
    shuffled = made().fit(table[turned], truth[turned], table[rng.permutation(40)])
    here, there = seen.predict(table[30:])[0], shuffled.predict(table[30:])[0]
    assert kendall_tau(here, truth[30:]) > 0.3, f"predictor {name} learns no sum of two features"
    assert kendall_tau(here, there) > 0.3, f"predictor {name}: the order of the rows changes what it learns"
    broken = table[:5].copy()
    broken[2, 3] = math.nan
    gap = np.array([1.0, 2.0, math.nan, 3.0, 4.0])
    bad = [(table[:5], np.ones(5)), (table[:5], gap), (table[:1], truth[:1]), (table[:0], truth[:0])]
    for X, y in [*bad, (table[:5], truth[:4]), (broken, truth[:5])]:
        _refused(name, partial(made().fit, X, y))
    _refused(name, partial(made(prior=6).fit, table[:5], truth[:5]))
    _refused(name, partial(made().predict, table))
    _refused(name, partial(seen.predict, table[:, :3]))


def _refused(name: str, act: Callable[[], object]) -> None:
    try:
        act()
    except UsageError:
        return
    raise AssertionError(f"predictor {name} accepts what it cannot learn from")


def golden(path: Path, found: dict[str, Any], *, write: bool) -> None:
    """Compares numbers with those pinned in a JSON file, or pins them.

    Relative tolerance 1e-4: other processors round other ways, and a change of a formula is far larger.
    """
    if write:
        path.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    pinned = json.loads(path.read_text(encoding="utf-8"))
    assert pinned.keys() == found.keys(), f"not the same names: {sorted(pinned.keys() ^ found.keys())}"
    for name, value in found.items():
        close = math.isclose(value, pinned[name], rel_tol=1e-4, abs_tol=1e-9)
        assert close, f"{name} was {pinned[name]!r} and is {value!r}"


def _doc(thing: Any) -> str:
    return (getattr(thing, "__doc__", None) or "").strip()
