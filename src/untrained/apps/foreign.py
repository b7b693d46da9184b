"""Networks of one's own: a module, a Hugging Face configuration, or a directory on disk.

A configuration is priced on fake tensors, which hold no numbers, and proxies look at a network of its family,
depth and heads with narrower heads: however large it is, it is never built in full unless `scale="paper"`
asks for it. A module, weights that are loaded, and the model types of our own exports are taken as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from untrained.apps.parallel import Progress
from untrained.apps.probing import FOREIGN_TRANSFORMER, check_device, foreign_probe, generator, measure
from untrained.apps.ranking import Ranking, check_combine, ranked
from untrained.core.errors import MeasurementFailed, UnknownName, UsageError
from untrained.core.metric import Measurement, Metric, Parts, metric
from untrained.core.text import Corpus
from untrained.nn.adapters import adapt, sources
from untrained.nn.adapters.huggingface import HuggingFace
from untrained.nn.batch import Batch
from untrained.nn.probe import Probe
from untrained.nn.stream import Stream, stream_of

SCALES = ("paper", "probe")
PRICED = ("params", "params_nonembedding", "flops")  # what fake tensors can tell
HEADLESS = ("a classifier: scored as the language model that it was made of, without its labels' head",)
LARGE = 2**28  # weights from which a network is built in full only where that is asked for: 1 GiB


@dataclass(frozen=True)
class Noted(Measurement):
    """A measurement, and what one must know of the network that was measured."""

    notes: tuple[str, ...] = ()

    def record(self, arch: str) -> dict[str, Any]:
        return super().record(arch) | ({"notes": list(self.notes)} if self.notes else {})


class Foreign:
    """One network of one's own, ready to be measured."""

    def __init__(
        self,
        what: object,
        corpus: Corpus,
        *,
        batch: object = None,
        scale: str = "probe",
        device: str = "cpu",
    ) -> None:
        if scale not in SCALES:
            raise UnknownName("scale", scale, SCALES, more="untrained score --help")
        check_device(device)
        self.source, self.corpus, self.scale, self.device = what, corpus, scale, device
        self.batch = None if batch is None else as_batch(batch)
        self.plan = None if isinstance(what, nn.Module) else plan(what)
        self.id = _name(what, self.plan)
        self.divisor = 1 if self.plan is None or self.whole else sources.divisor(self.plan.config)

    @property
    def whole(self) -> bool:
        """Whether proxies look at the network itself rather than at a smaller one."""
        return self.scale == "paper" or self.plan is None or self.plan.folder is not None or self.plan.own

    @property
    def notes(self) -> tuple[str, ...]:
        """What was measured."""
        if self.plan is None:
            return ()
        if self.plan.folder is not None:
            return (f"weights loaded from {self.plan.folder}", *HEADLESS[: self._is_classifier])
        if self.whole:
            return ("random weights", "built in full")
        small, config = self.small, self.plan.config
        if (small.hidden_size, small.vocab_size) == (config.hidden_size, config.vocab_size):
            return ("random weights",)
        return (
            "random weights",
            f"proxies see width {small.hidden_size} of {config.hidden_size}, {small.vocab_size} words of"
            f" {config.vocab_size}, all {config.num_hidden_layers} layers; costs are those of the whole",
        )

    @property
    def _is_classifier(self) -> bool:
        """Whether a network of ours ends in labels; of other families' classifiers, logits are no words."""
        assert self.plan is not None
        named = getattr(self.plan.config, "architectures", None) or [""]
        return self.plan.own and str(named[0]).endswith("ForSequenceClassification")

    @property
    def small(self) -> Any:
        """The configuration at probe scale."""
        assert self.plan is not None
        usual = FOREIGN_TRANSFORMER
        words, length = usual.vocabulary, usual.length
        if self.batch is not None:
            top = int(torch.max(self.batch.tokens.max(), self.batch.targets.max()))
            words, length = max(words, top + 1), max(length, self.batch.shape[1])
        return sources.shrunk(self.plan.config, self.divisor, vocabulary=words, length=length)

    @cached_property
    def counts(self) -> dict[str, int]:
        """Costs on fake tensors; none of what is taken as it is anyway, as it is there to be counted."""
        return {} if self.plan is None or self.plan.own else self._priced[0]

    @cached_property
    def _priced(self) -> tuple[dict[str, int], Stream]:
        assert self.plan is not None
        return _priced(self.plan.config)

    @cached_property
    def _loaded(self) -> nn.Module:
        assert self.plan is not None
        return sources.loaded(self.plan)

    def probe(self, kind: str, seed: int) -> Probe:
        """A probe for the metrics of a kind; a configuration is built when something is asked of it."""
        if isinstance(self.source, nn.Module):
            return foreign_probe(self.source, self.corpus, seed, self.device, self.batch)

        def build() -> nn.Module:
            assert self.plan is not None
            if self.plan.folder is not None:
                return self._loaded
            if kind == "proxy" and not self.whole:
                small = adapt(sources.built(self.small, generator(seed)))
                assert isinstance(small, HuggingFace)
                small.whole = lambda: self._priced[1]
                return small
            weights = sources.size(self.plan.config) if self.plan.own else self.counts["params"]
            if self.scale != "paper" and weights > LARGE:
                raise MeasurementFailed(
                    f"needs the whole network, {weights / 1e9:.1f} billion weights in"
                    f" {weights / 2**28:.0f} GiB.\n"
                    '  build it all the same: scale="paper" (--scale paper)'
                )
            return sources.built(self.plan.config, generator(seed))

        counts = (lambda: self.counts) if kind == "cost" else dict
        full = dict if self.whole else (lambda: self.counts)
        return foreign_probe(build, self.corpus, seed, self.device, self.batch, counts, full)

    def measure(self, metrics: Sequence[Metric], seeds: int = 1) -> dict[str, Measurement]:
        """Every metric by label, with the notes; see `probing.measure`."""
        self.check()
        found = measure(metrics, self.probe, seeds)
        return {label: _noted(m, self.notes) for label, m in found.items()}

    def check(self) -> None:
        """Raises UsageError for a batch that the whole network cannot take."""
        if self.batch is None or self.plan is None:
            return
        top = int(torch.max(self.batch.tokens.max(), self.batch.targets.max()))
        if top >= self.plan.config.vocab_size:
            words = self.plan.config.vocab_size
            raise UsageError(f"the batch has the token id {top}, and the model knows 0 to {words - 1}")


def plan(what: object) -> sources.Blueprint:
    """A path or a configuration object as a blueprint; raises UsageError for anything else."""
    if isinstance(what, str | Path):
        return sources.read(what)
    if hasattr(what, "model_type") and hasattr(what, "to_dict"):
        return sources.of_config(what)
    raise UsageError(
        f"a {type(what).__name__} is nothing that can be scored.\n"
        "  what can: an Architecture, an nn.Module, a Hugging Face configuration object, or the path of a"
        " model directory or config.json"
    )


def as_batch(given: object) -> Batch:
    """A Batch, token ids (B, T), or a mapping with `input_ids`, as a Batch; the last id is target only."""
    if isinstance(given, Batch):
        return _whole(given)
    if isinstance(given, Mapping):
        mask = given.get("attention_mask")
        if mask is not None and not bool(torch.as_tensor(mask).all()):
            raise UsageError(
                "the batch has padding (attention_mask with zeros); give sequences of one length"
            )
        given = given.get("input_ids")
    if (
        not isinstance(given, Tensor)
        or given.dim() != 2
        or given.is_floating_point()
        or given.dtype == torch.bool
    ):
        raise UsageError(
            "batch takes an untrained Batch, a tensor of token ids (B, T), or a mapping with such input_ids"
        )
    if given.shape[0] < 1 or given.shape[1] < 2:
        raise UsageError(
            f"a batch of shape {tuple(given.shape)}: take 1 sequence or more, of 2 tokens or more"
        )
    ids = given.long()
    return Batch(ids[:, :-1].contiguous(), ids[:, 1:].contiguous())


def _whole(batch: Batch) -> Batch:
    """The batch; raises UsageError where words or labels are missing."""
    tokens, targets = batch.tokens, batch.targets
    if tokens.dim() != 2 or tokens.shape != targets.shape or not tokens.numel():
        raise UsageError(
            f"a batch of tokens {tuple(tokens.shape)} and targets {tuple(targets.shape)}: both are (B, T), of"
            " 1 sequence or more"
        )
    if missing := int((targets < 0).sum()):
        raise UsageError(
            f"the batch has no label at {missing:,} of {targets.numel():,} tokens (a target below 0)\n"
            "  give every token one; batch=ids, a tensor (B, T), takes the token that follows"
        )
    return batch


def price(config: Any) -> dict[str, int]:
    """Parameters by place and FLOP per token of a configuration, on fake tensors: no weight is made."""
    return _priced(config)[0]


def _priced(config: Any) -> tuple[dict[str, int], Stream]:
    """Its costs and its stream."""
    with FakeTensorMode():
        tokens = torch.zeros(1, 4, dtype=torch.long)
        probe = Probe(adapt(sources.built(config)), Batch(tokens, tokens))
        found = {name: metric(name).function(probe) for name in PRICED}
        parts = metric("decoder_params").function(probe)
    assert isinstance(parts, Parts)
    costs = {name: int(n) for name, n in found.items() if isinstance(n, float)}
    layers = {"params_attention": parts.parts["attention"], "params_ffn": parts.parts["feed_forward"]}
    return costs | {name: int(n) for name, n in layers.items()}, stream_of(probe.model)


def foreigners(what: Iterable[object], corpus: Corpus, *, scale: str, device: str) -> list[Foreign]:
    """Several networks of one's own, side by side: configurations are made small by the same factor."""
    found = [Foreign(one, corpus, scale=scale, device=device) for one in what]
    common = max((f.divisor for f in found), default=1)
    names: dict[str, int] = {}
    for f in found:
        f.divisor = 1 if f.whole else common
        names[f.id] = names.get(f.id, 0) + 1
        f.id += f"#{names[f.id]}" if names[f.id] > 1 else ""
    return found


def rank_foreign(
    found: Sequence[Foreign],
    metrics: Sequence[Metric],
    seeds: int,
    progress: Progress | None = None,
    combine: str | None = None,
) -> Ranking:
    """Networks of one's own, best first."""
    check_combine(combine, metrics)
    results = []
    for done, one in enumerate(found, start=1):
        results.append(one.measure(metrics, seeds))
        if progress is not None:
            progress(done, len(found))
    places: Any = found  # these stand where architectures stand: the ranking reads their id alone
    return ranked(places, results, metrics, combine)


def _name(what: object, found: sources.Blueprint | None) -> str:
    if found is None:
        return type(what).__name__
    if isinstance(what, str | Path):
        path = Path(what).expanduser()
        return (path.parent if path.name == "config.json" else path).resolve().name
    config = found.config
    return f"{config.model_type}-{config.num_hidden_layers}x{config.hidden_size}"


def _noted(m: Measurement, notes: tuple[str, ...]) -> Measurement:
    return Noted(**{f.name: getattr(m, f.name) for f in fields(m)}, notes=notes) if notes else m
