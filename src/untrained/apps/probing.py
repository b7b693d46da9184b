"""From an architecture, a space and a text to numbers: where the rooms meet."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from untrained.apps.names import split_names
from untrained.core import registry
from untrained.core.architecture import Architecture
from untrained.core.bytes import VOCABULARY
from untrained.core.errors import UsageError
from untrained.core.metric import Measurement, Metric, metric
from untrained.core.space import Shape, Space
from untrained.core.text import Corpus, load
from untrained.nn import batch as batches
from untrained.nn.adapters import adapt
from untrained.nn.batch import Batch
from untrained.nn.numerics import quiet_numbers
from untrained.nn.probe import Probe

FOREIGN = Shape(vocabulary=2_000, sequences=50, length=35)  # what a bare recurrent module is shown
FOREIGN_TRANSFORMER = Shape(vocabulary=2_000, sequences=16, length=64)


def resolve(names: str | Metric | Iterable[str | Metric]) -> list[Metric]:
    """Metrics by name, `all` being every proxy; raises UnknownName with the nearest names."""
    typed = [names] if isinstance(names, str | Metric) else list(names)
    asked = [m for n in typed for m in (split_names(n) if isinstance(n, str) else [n])]
    found: list[Metric] = []
    for name in asked:
        if name == "all":
            found += [metric(n) for n in registry.names("proxy")]
        else:
            found.append(name if isinstance(name, Metric) else metric(name))
    labels = [m.label for m in found]
    return [m for i, m in enumerate(found) if m.label not in labels[:i]]


@lru_cache(maxsize=64)
def _batch(corpus: Corpus, shape: Shape, seed: int) -> Batch:
    return batches.from_text(
        corpus, vocabulary=shape.vocabulary, sequences=shape.sequences, length=shape.length, seed=seed
    )


@dataclass(frozen=True)
class Lab:
    """Everything that stays the same while architectures come and go.

    Proxies look at networks of `scale`; costs are those of the network at paper scale, which is the one
    that would be trained. What is trained reads bytes, and has that scale with as many words, unless `scale`
    is one of paper that says otherwise.
    """

    space: Space
    scale: str = "probe"
    corpus: Corpus | None = None
    device: str = "cpu"
    typed: str = ""
    """the space as the user named it, with its options; its bare name where that is empty"""
    first: int = 0
    """the draw of weights and text window that counts as the first"""

    def probe(self, arch: Architecture, kind: str = "proxy", seed: int = 0) -> Probe:
        """A probe of an architecture; nothing is built before something is asked of it."""
        scale = {"cost": "paper", "trained": trained_scale(self.space, self.scale)}.get(kind, self.scale)
        shape, corpus = self.space.shape(scale), self.corpus or load()

        def build() -> nn.Module:
            return self.space.build(arch, scale=scale, generator=generator(seed))

        return Probe(
            build,
            lambda: self._shown(shape, seed),
            seed=seed,
            counts=lambda: self.space.count(arch, scale=scale),
            full=lambda: self.space.count(arch, scale="paper"),
            origin=lambda: self.space.origin(arch),
            device=self.device,
            text=corpus.text,
            ids=lambda: self.space.ids(corpus.text),
        )

    def measure(
        self, arch: Architecture, metrics: Sequence[Metric], seeds: int = 1
    ) -> dict[str, Measurement]:
        """Every metric of one architecture by label; see `measure`."""
        return measure(metrics, lambda kind, seed: self.probe(arch, kind, seed), seeds, self.first)

    def check_text(self) -> None:
        """Raises BadText now rather than once for every architecture."""
        self._shown(self.space.shape(self.scale), 0)

    def _shown(self, shape: Shape, seed: int) -> Batch:
        """The batch of the text, in the tokens of the space."""
        return _shown(self, shape, seed)


@lru_cache(maxsize=16)
def _shown(lab: Lab, shape: Shape, seed: int) -> Batch:
    corpus = lab.corpus or load()
    ids = lab.space.ids(corpus.text)
    if ids is None:
        return _batch(corpus, shape, seed)
    return batches.from_ids(
        ids, sequences=shape.sequences, length=shape.length, seed=seed, source=corpus.name
    )


def trained_scale(space: Space, scale: str = "paper", vocabulary: int = VOCABULARY) -> str:
    """The scale at which networks are trained: that of the paper, with as many words as the tokenizer has."""
    name, sizes = space.at(scale)
    sizes = sizes if name == "paper" else {}
    if "vocabulary" in space.sizes:
        sizes = {"vocabulary": vocabulary} | sizes
    typed = ",".join(f"{k}={v}" for k, v in sizes.items())
    return f"paper:{typed}" if typed else "paper"


def check_device(name: str) -> None:
    """Raises UsageError for a device that torch does not have here."""
    if name == "cpu":
        return
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        said = str(error).strip().partition("\n")[0]
        raise UsageError(
            f"the device {name} cannot be used here: {said}\n  take another: --device cpu"
        ) from None


def generator(seed: int) -> torch.Generator:
    """Luck for the weights of draw `seed`; on the CPU, so that every device gets the same network."""
    return torch.Generator().manual_seed(1_000_003 * (seed + 1))


def foreign_probe(
    model: nn.Module | Callable[[], nn.Module],
    corpus: Corpus,
    seed: int,
    device: str,
    batch: Batch | None = None,
    counts: Callable[[], Mapping[str, int]] = dict,
    full: Callable[[], Mapping[str, int]] = dict,
) -> Probe:
    """A probe of somebody's own module; raises UsageError for a kind of module that no adapter takes.

    A function is called when the network is needed. The module that was handed in stays on its device.
    """

    @lru_cache(maxsize=1)
    def ready() -> nn.Module:
        module = model if isinstance(model, nn.Module) else model()
        made = adapt(module, vocabulary=FOREIGN.vocabulary, generator=generator(seed))
        places = [torch.device(device), *(w.device for w in made.parameters())]
        together = len({(place.type, place.index or 0) for place in places}) == 1
        return made if together else deepcopy(made).to(device)

    def shown() -> Batch:
        return _batch(corpus, foreign_shape(ready()), seed) if batch is None else _fitting(batch, ready())

    if isinstance(model, nn.Module):
        ready()  # a wrong kind of module is told now
    return Probe(ready, shown, seed=seed, counts=counts, full=full, device=device, text=corpus.text)


def foreign_shape(model: nn.Module) -> Shape:
    """What an adapted module is shown where nobody gives a batch: never its longest sequence."""
    usual = FOREIGN_TRANSFORMER if "attention" in getattr(model, "roles", ()) else FOREIGN
    words, positions = getattr(model, "vocabulary", usual.vocabulary), _longest(model)
    length = usual.length if positions is None else min(usual.length, positions)
    return Shape(min(usual.vocabulary, int(words)), usual.sequences, length)


def _longest(model: nn.Module) -> int | None:
    """Positions that a model has: their number, or a table of them; None where they do not end."""
    said = getattr(model, "positions", None)
    if isinstance(said, nn.Embedding):
        return said.num_embeddings
    return said if isinstance(said, int) else None


def _fitting(batch: Batch, model: nn.Module) -> Batch:
    """The batch; raises UsageError for words or positions that the model does not have."""
    words, positions = getattr(model, "vocabulary", None), _longest(model)
    low, high = int(batch.tokens.min()), int(torch.max(batch.tokens.max(), batch.targets.max()))
    if low < 0 or (isinstance(words, int) and high >= words):
        raise UsageError(
            f"the batch has token ids from {low} to {high}, and the model knows 0 to {(words or 0) - 1}"
        )
    if positions is not None and batch.shape[1] > positions:
        raise UsageError(
            f"the batch has sequences of {batch.shape[1]} tokens, and the model {positions} positions"
        )
    return batch


def measure(
    metrics: Sequence[Metric], probe: Callable[[str, int], Probe], seeds: int = 1, first: int = 0
) -> dict[str, Measurement]:
    """Every metric by label, sharing passes; with several seeds the mean, with its spread over draws.

    A draw is other weights and another window of the text; `first` is the number of the first one. Costs are
    taken once, as they do not vary.
    """
    if seeds < 1:
        raise UsageError(f"seeds={seeds}; take 1 or more")
    proxies = [m for m in metrics if m.kind != "cost"]
    kinds = {m.kind: [o for o in proxies if o.kind == m.kind] for m in proxies}
    draws: dict[str, list[Measurement]] = {m.label: [] for m in metrics}
    with quiet_numbers():
        costs = [m for m in metrics if m.kind == "cost"]
        if costs:
            whole = probe("cost", 0)
            for m in costs:
                draws[m.label].append(m(whole))
        for seed in range(first, first + (seeds if proxies else 0)):
            for kind, own in kinds.items():
                one = probe(kind, seed).expect(need for m in own for need in m.needs)
                for m in own:
                    draws[m.label].append(m(one, seed=seed))
    return {label: pooled(found) for label, found in draws.items()}


def pooled(draws: Sequence[Measurement]) -> Measurement:
    """Several draws as one measurement: mean, standard deviation, summed seconds.

    One failed draw fails the whole, as a mean over the others would hide it.
    """
    bad = next((d for d in draws if not d.ok), None)
    if bad is not None or len(draws) == 1:
        return bad or draws[0]
    values = [d.value for d in draws if d.value is not None]
    parts = {k: math.fsum(d.parts[k] for d in draws) / len(draws) for k in draws[0].parts}
    return replace(
        draws[0],
        value=math.fsum(values) / len(values),
        spread=statistics.stdev(values),
        seconds=math.fsum(d.seconds for d in draws),
        parts=parts,
    )


def flat(measurements: Mapping[str, Measurement]) -> dict[str, float]:
    """Values by label, parts as `metric.part`; failed ones are absent."""
    found: dict[str, Any] = {}
    for label, m in measurements.items():
        if m.value is not None:
            found[label] = m.value
            found |= {f"{label}.{part}": value for part, value in m.parts.items()}
    return found
