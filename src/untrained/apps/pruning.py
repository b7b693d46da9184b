"""A pretrained decoder in, a sub-network within a budget out."""

from __future__ import annotations

import math
import resource
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch

from untrained import __version__
from untrained.apps import _prune_budget, _prune_files
from untrained.apps._prune_budget import Budget
from untrained.apps._prune_looks import LOOKED, Texts, perplexity, side_by_side, texts_of
from untrained.apps._prune_recovery import recovered, rounded, trained
from untrained.apps.export.fresh import Look, difference, look
from untrained.apps.export.place import beside, check_room, free
from untrained.apps.probing import Lab, check_device
from untrained.apps.searching import search
from untrained.core.architecture import Architecture
from untrained.core.errors import UntrainedError, UsageError
from untrained.core.metric import metric
from untrained.core.study import Study, Trial
from untrained.nn.numerics import quiet_numbers
from untrained.nn.pretrained.cut import Cut
from untrained.nn.pretrained.parent import Parent, parent_at
from untrained.spaces.llm_subnet import LlmSubnet

AUTO = "AutoModelForCausalLM"
TRIED = 10  # of the best, where a latency is asked for

USUAL = {  # what the command line takes where nothing is said
    "recover": 0,
    "align": 8,
    "shortest": 0.5,
    "narrowest": 0.25,
    "groups": "all",
    "sequences": 16,
    "length": 128,
}

Told = Callable[[str], None]


@dataclass
class Pruned:
    """What was done, and what came of it."""

    folder: Path
    parent: Path
    family: str
    budget: Budget
    proxy: str
    score: float
    arch: Architecture
    cut: Cut
    before: dict[str, float]
    after: dict[str, float]
    facts: dict[str, Any]
    command: str
    study: Study
    differing: bool
    """whether layers differ in size, so that loading takes `import untrained`"""
    recovered: int = 0


def prune(
    model: str | Path,
    out: str | Path,
    *,
    params: str | float | None = None,
    fits: str | None = None,
    latency: str | None = None,
    text: str | Path | None = None,
    proxy: str = "trace_nas",
    strategy: str = "regularized_evolution:population=20,tournament=5",
    trials: int = 100,
    seed: int = 0,
    recover: int = 0,
    align: int = 8,
    shortest: float = 0.5,
    narrowest: float = 0.25,
    groups: str = "all",
    sequences: int = 16,
    length: int = 128,
    device: str = "cpu",
    store: str | Path | None = None,
    resume: bool = False,
    progress: Callable[[int, int, Trial], None] | None = None,
    told: Told = lambda said: None,
) -> Pruned:
    """Cuts a Hugging Face decoder down to a budget, and writes what is left to `out`, checked.

    One of `params` (a share of the parameters, tables and head included, or a number), `fits` (bytes of
    weights and of the keys and values of 2,048 tokens) and `latency` (milliseconds of 64 tokens on this
    machine). The last tenth of `text` is held out; on the rest, `sequences` of `length` tokens of it, heads
    and channels are ranked and the `proxy` is measured. `recover` trains the winner for so many steps on
    that rest. `told` hears what is going on. Raises UsageError for what cannot be asked, and UntrainedError
    where the work fails; then nothing is at `out`.
    """
    start = time.perf_counter()
    check_device(device)
    if trials < 1 or recover < 0:
        raise UsageError(f"trials={trials}, recover={recover}; take 1 or more trials, and 0 or more steps")
    path, judge = free(out), metric(proxy)
    if judge.kind != "proxy":
        raise UsageError(
            f"{proxy} is a {judge.kind}, and what is kept is chosen by a proxy: --proxy trace_nas"
        )
    parent = parent_at(str(model))
    if parent.folder is None:
        raise UsageError(f"{model} has no weights, so there is nothing to cut.\n  give a model directory")
    words = texts_of(parent, text, sequences, min(length, parent.geometry.positions))
    shape: dict[str, Any] = {
        "align": align,
        "shortest": shortest,
        "narrowest": narrowest,
        "groups": groups,
        "sequences": sequences,
        "length": length,
    }

    def space(**bounds: Any) -> LlmSubnet:
        made = LlmSubnet(parent=str(model), **shape, **bounds)
        made.corpus = words.calibration
        return made

    budget = _budget(params, fits, latency, space, parent)
    check_room(path, budget.high * parent.dtype.itemsize)
    place = space(low=budget.low, high=budget.high)
    told(f"ranking heads and channels on {sequences} x {min(length, parent.geometry.positions)} tokens")
    assert place.statistics.tokens
    told(f"searching {budget.low:,} to {budget.high:,} parameters")
    study = search(
        Lab(place, "paper", words.calibration, device, typed=_typed(model, budget, shape)),
        maximize=proxy if judge.better == "higher" else (),
        minimize=proxy if judge.better == "lower" else (),
        strategy=strategy,
        trials=trials,
        seed=seed,
        store=store,
        resume=resume,
        progress=progress,
    )
    best = _winner(study, place, budget)
    order = {"strategy": strategy, "trials": trials, "seed": seed, "recover": recover, **shape}
    command = _command(model, out, text, budget, judge.label, order)
    with quiet_numbers():
        return _written(path, place, best, words, study, budget, judge.label, command, order, start, told)


def _written(
    path: Path,
    place: LlmSubnet,
    best: Trial,
    words: Texts,
    study: Study,
    budget: Budget,
    label: str,
    command: str,
    order: Mapping[str, Any],
    start: float,
    told: Told,
) -> Pruned:
    """The winner on disk, compared with the parent and with what a fresh process sees of it."""
    parent, cut, steps = place.parent, place.origin(best.architecture).cut, order["recover"]
    assert parent.folder is not None
    net, settings, tensors = parent.build(cut), parent.settings(cut), parent.tensors(cut)
    raw = perplexity(net, words.held_out)
    if steps:
        told(f"training for {steps} steps")
        tensors = trained(recovered(net, parent, words, steps, order["seed"]), parent)
    told("writing, and reading it again in a fresh process")
    differing = str(settings.model_type).startswith("untrained_")
    with beside(path) as part:
        _prune_files.write(part, settings, tensors, parent.dtype, _prune_files.beside(parent))
        net = rounded(part, parent, tensors) if steps else net
        after = look(part, words.shown, auto=AUTO, ours=differing)
        with torch.inference_mode():
            difference(after.logits, net(words.shown, use_cache=False).logits, "the sub-network")
        whole = parent.build(parent.whole())
        slow, fast = side_by_side([whole, net], words.shown.shape[1])
        before = look(parent.folder, words.shown, auto=AUTO, ours=False)
        perplexities = [perplexity(n, words.held_out) for n in (whole, net)]
        made = Pruned(
            folder=path,
            parent=parent.folder,
            family=parent.geometry.family,
            budget=budget,
            proxy=label,
            score=float(best.values[label]),
            arch=best.architecture,
            cut=cut,
            before=_facts(parent.geometry.params, parent.folder, before, perplexities[0], slow),
            after=_facts(place.count(best.architecture)["params"], part, after, perplexities[1], fast)
            | ({"perplexity_before_recovery": raw} if steps else {}),
            facts=_circumstances(words, place, study, start),
            command=command,
            study=study,
            differing=differing,
            recovered=steps,
        )
        _report(made, part)
    return made


def _typed(model: str | Path, budget: Budget, shape: Mapping[str, Any]) -> str:
    """The space as one types it, so that a store says what was searched."""
    options = {"parent": model, "low": budget.low, "high": budget.high, **shape}
    return "llm_subnet:" + ",".join(f"{k}={v}" for k, v in options.items())


# --- budget and choice -----------------------------------------------------------------------------------


def _budget(
    params: str | float | None, fits: str | None, latency: str | None, space: Any, parent: Parent
) -> Budget:
    given = [b for b in (params, fits, latency) if b is not None]
    if len(given) != 1:
        raise UsageError(
            "prune takes one budget.\n"
            "  a share of the parameters: --params 0.6\n"
            "  memory:                    --fits 6GB\n"
            "  time of 64 tokens here:    --latency 20ms"
        )
    if params is not None:
        return _prune_budget.parameters(str(params), space)
    if fits is not None:
        return _prune_budget.memory(fits, space, parent.config, parent.dtype)
    assert latency is not None
    return _prune_budget.latency(latency, space, lambda s: milliseconds(s, s.sample(Random(0))))


def milliseconds(space: LlmSubnet, arch: Architecture) -> float:
    """Of a sub-network, as `side_by_side` takes it."""
    origin = space.origin(arch)
    return side_by_side([origin.parent.build(origin.cut)], min(LOOKED[1], space.geometry.positions))[0]


def _winner(study: Study, space: LlmSubnet, budget: Budget) -> Trial:
    """The best trial that keeps to the budget; raises UntrainedError where there is none."""
    found = study.distinct()
    if not found:
        last = next((t.reason for t in reversed(study.trials) if t.reason), "no reason")
        raise UntrainedError(f"no sub-network could be scored; the last one: {last}")
    if budget.latency_ms is None:
        return found[0]
    fastest = math.inf
    for trial in found[:TRIED]:
        took = milliseconds(space, trial.architecture)
        if took <= budget.latency_ms:
            return trial
        fastest = min(fastest, took)
    raise _prune_budget.too_slow(budget, fastest)


# --- the report ------------------------------------------------------------------------------------------


def _facts(params: int, folder: Path, seen: Look, perplexity: float, ms: float) -> dict[str, float]:
    return {
        "params": params,
        "file_bytes": _prune_files.size_on_disk(folder),
        "perplexity": perplexity,
        "latency_ms": ms,
        "peak_bytes": seen.peak_bytes,
        "model_bytes": seen.model_bytes,
    }


def _circumstances(words: Texts, space: LlmSubnet, study: Study, start: float) -> dict[str, Any]:
    from untrained.nn.adapters.sources import transformers

    shape = space.shape("paper")
    scale = 1 if sys.platform == "darwin" else 1024
    return {
        "calibration_tokens": shape.sequences * shape.length,
        "calibration": f"{shape.sequences} x {shape.length} tokens of {words.calibration.name}",
        "held_out_tokens": words.tokens,
        "trials": len(study.trials),
        "distinct": len(study.distinct()),
        "seconds": round(time.perf_counter() - start, 1),
        "peak_bytes_of_pruning": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale,
        "versions": {
            "untrained": __version__,
            "torch": str(torch.__version__),
            "transformers": transformers().__version__,
        },
    }


def _command(
    model: str | Path,
    out: str | Path,
    text: str | Path | None,
    budget: Budget,
    proxy: str,
    order: Mapping[str, Any],
) -> str:
    """What to type for the same again."""
    words = ["untrained", "prune", str(model), *budget.asked.split(" ", 1)]
    words += ["--text", str(text)] if text is not None else []
    words += ["--proxy", proxy]
    for name, value in order.items():
        words += [f"--{name}", str(value)] if value != USUAL.get(name) else []
    return shlex.join([*words, "-o", str(out)])


def _report(made: Pruned, folder: Path) -> None:
    from untrained.apps.report.document import as_markdown
    from untrained.apps.report.pruned import as_json, sections, title

    (folder / "pruning.json").write_text(as_json(made), encoding="utf-8")
    (folder / "README.md").write_text(as_markdown(title(made), sections(made)), encoding="utf-8")
