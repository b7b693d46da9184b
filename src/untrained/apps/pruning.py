"""A pretrained decoder in, a sub-network within a budget out."""

from __future__ import annotations

import math
import resource
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor, nn

from untrained import __version__
from untrained.apps import _prune_budget, _prune_files
from untrained.apps._prune_budget import Budget
from untrained.apps.export.fresh import Look, difference, look
from untrained.apps.export.place import beside, check_room, free
from untrained.apps.probing import Lab, check_device
from untrained.apps.searching import search
from untrained.core.architecture import Architecture
from untrained.core.errors import BadText, UntrainedError, UsageError
from untrained.core.metric import metric
from untrained.core.study import Study, Trial
from untrained.core.text import Corpus, load
from untrained.nn.numerics import quiet_numbers
from untrained.nn.pretrained.cut import Cut
from untrained.nn.pretrained.parent import Parent, parent_at
from untrained.spaces.llm_subnet import LlmSubnet

HELD_OUT = 0.1  # share of a text, its end, that perplexity is told on
WINDOWS = 64  # of held-out text
LOOKED = (2, 64)  # sequences and tokens on which a fresh process is compared
WARMUP, REPEATS = 3, 20  # passes that are timed
AUTO = "AutoModelForCausalLM"
TRIED = 10  # of the best, where a latency is asked for

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
    words = _texts(parent, text, sequences, min(length, parent.geometry.positions))

    def space(**bounds: Any) -> LlmSubnet:
        made = LlmSubnet(
            parent=str(model),
            align=align,
            shortest=shortest,
            narrowest=narrowest,
            groups=groups,
            sequences=sequences,
            length=length,
            **bounds,
        )
        made.corpus = words.calibration
        return made

    budget = _budget(params, fits, latency, space, parent)
    place = space(low=budget.low, high=budget.high)
    check_room(path, budget.high * parent.dtype.itemsize)
    told(f"ranking heads and channels on {sequences} x {min(length, parent.geometry.positions)} tokens")
    assert place.statistics.tokens
    told(f"searching {budget.low:,} to {budget.high:,} parameters")
    lab = Lab(place, "paper", words.calibration, device, typed=f"llm_subnet:parent={model}")
    lab.check_text()
    study = search(
        lab,
        maximize=proxy if judge.better == "higher" else (),
        minimize=proxy if judge.better == "lower" else (),
        strategy=strategy,
        trials=trials,
        seed=seed,
        store=store,
        resume=resume,
        progress=progress,
    )
    best = _winner(study, place, budget, lab)
    origin = place.origin(best.architecture)
    with quiet_numbers():
        net = parent.build(origin.cut)
        raw = perplexity(net, words.held_out)
        if recover:
            told(f"training for {recover} steps")
            net = _recovered(net, parent, words, recover, seed)
        settings = parent.settings(origin.cut)
        tensors = _trained(net, parent) if recover else parent.tensors(origin.cut)
        told("writing, and reading it again in a fresh process")
        more = _prune_files.beside(parent.folder, parent.reader.files)
        differing = str(settings.model_type).startswith("untrained_")
        with beside(path) as part:
            _prune_files.write(part, settings, tensors, parent.dtype, more)
            own = _rounded(part, parent, tensors) if recover else net
            after = look(part, words.shown, auto=AUTO, ours=differing)
            with torch.inference_mode():
                difference(after.logits, own(words.shown, use_cache=False).logits, "the sub-network")
            whole = parent.build(parent.whole())
            slow, fast = side_by_side([whole, own], words.shown.shape[1])
            before = look(parent.folder, words.shown, auto=AUTO, ours=False)
            made = Pruned(
                folder=path,
                parent=parent.folder,
                family=parent.geometry.family,
                budget=budget,
                proxy=judge.label,
                score=_value(best, judge.label),
                arch=best.architecture,
                cut=origin.cut,
                before=_facts(parent.geometry.params, parent.folder, before)
                | {"perplexity": perplexity(whole, words.held_out), "latency_ms": slow},
                after=_facts(place.count(best.architecture)["params"], part, after)
                | {"perplexity": perplexity(own, words.held_out), "latency_ms": fast}
                | ({"perplexity_before_recovery": raw} if recover else {}),
                facts=_circumstances(words, place, study, start),
                command="",
                study=study,
                differing=differing,
                recovered=recover,
            )
            made.command = _command(made, model, out, text, strategy, trials, seed, recover, place)
            _report(made, part)
    return made


# --- texts -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Texts:
    """What is looked at, and what is held out."""

    calibration: Corpus
    ids: Sequence[int]
    """tokens of the calibration text"""
    held_out: Tensor  # (windows, T + 1)
    shown: Tensor  # (2, 64): what is compared between processes

    @property
    def tokens(self) -> int:
        return (self.held_out.shape[1] - 1) * self.held_out.shape[0]


def _texts(parent: Parent, text: str | Path | None, sequences: int, length: int) -> Texts:
    """Raises BadText where the text is too short for calibration or for its held-out end."""
    whole = load(text)
    at = len(whole.text) - round(HELD_OUT * len(whole.text))
    first = Corpus(whole.text[:at], whole.source)
    ids, rest = parent.reader.ids(first.text), parent.reader.ids(whole.text[at:])
    need = sequences * (length + 1)
    if len(ids) < need or len(rest) < length + 1:
        raise BadText(
            f"{whole.name} is too short: {len(ids):,} tokens to look at and {len(rest):,} held out, and"
            f" {need:,} and {length + 1:,} are needed.\n"
            "  give a longer text: --text FILE, or look at less: --sequences 4 --length 64"
        )
    windows = [rest[i : i + length + 1] for i in range(0, len(rest) - length, length)][:WINDOWS]
    rows, steps = LOOKED
    steps = min(steps, length)
    shown = torch.tensor(ids[: rows * steps]).view(rows, steps)
    return Texts(first, ids, torch.tensor(windows), shown)


def perplexity(model: nn.Module, windows: Tensor) -> float:
    """exp of the mean cross-entropy of the next token over windows (N, T + 1)."""
    total, count = 0.0, 0
    device = next(model.parameters()).device
    with torch.inference_mode():
        for piece in torch.split(windows, 4):
            piece = piece.to(device)
            logits = model(piece[:, :-1], use_cache=False).logits
            total += float(
                nn.functional.cross_entropy(
                    logits.flatten(0, 1).float(), piece[:, 1:].flatten(), reduction="sum"
                ).double()
            )
            count += piece[:, 1:].numel()
    return math.exp(min(total / count, 700.0))


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


def side_by_side(models: Sequence[nn.Module], length: int) -> list[float]:
    """Milliseconds of a forward pass over `length` tokens of each model: the median of 20, one thread.

    The models take turns, so that a machine that is busy now and then is so for all of them.
    """
    tokens = torch.zeros(1, length, dtype=torch.long)
    times: list[list[float]] = [[] for _ in models]
    with quiet_numbers(), torch.inference_mode():
        for _ in range(WARMUP + REPEATS):
            for model, own in zip(models, times, strict=True):
                start = time.perf_counter()
                model(tokens, use_cache=False)
                own.append(1e3 * (time.perf_counter() - start))
    return [statistics.median(own[WARMUP:]) for own in times]


def _winner(study: Study, space: LlmSubnet, budget: Budget, lab: Lab) -> Trial:
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


def _value(trial: Trial, label: str) -> float:
    return float(trial.values[label])


# --- recovery, check, facts ------------------------------------------------------------------------------


def _recovered(net: nn.Module, parent: Parent, words: Texts, steps: int, seed: int) -> nn.Module:
    """Trained on the calibration text, its last tenth kept for examination; the held-out end is not seen."""
    import numpy as np

    from untrained.training.data.language import Language, Tokens
    from untrained.training.data.tokenizer import tokenizer
    from untrained.training.recipes.causal_lm import CausalLM
    from untrained.training.trainer import fit

    length = words.held_out.shape[1] - 1
    assert parent.folder is not None
    own = tokenizer("bytes" if parent.reader.kind == "bytes" else parent.folder)
    ids = np.asarray(words.ids, dtype=np.int32)
    tokens = Tokens(ids, len(ids))
    cut = len(tokens) - max(length + 1, len(tokens) // 10)
    data = Language(tokens.part(0, cut), tokens.part(cut, len(tokens)), own, words.calibration.name)
    recipe = CausalLM(
        steps=steps,
        batch=8,
        length=length,
        peak_lr=3e-4,
        warmup=0.1,
        eval_every=max(1, steps),
        eval_windows=WINDOWS,
        seed=seed,
    )
    return fit(net, recipe, data).model.eval()


def _trained(net: nn.Module, parent: Parent) -> dict[str, Callable[[], Tensor]]:
    """The tensors of a model that has been trained; a head that is tied is left out."""
    tied = {f"{parent.family.head}.weight"} - set(parent.rest)
    return {
        name: lambda tensor=tensor: tensor.detach()  # type: ignore[misc]
        for name, tensor in net.state_dict().items()
        if name not in tied
    }


def _rounded(folder: Path, parent: Parent, tensors: Any) -> nn.Module:
    """What was trained, in the precision of the parent, in which it is kept."""
    from untrained.nn import hf
    from untrained.nn.adapters.sources import drawn_from, transformers

    with drawn_from(None):
        config = transformers().AutoConfig.from_pretrained(folder, local_files_only=True)
        net: Any = hf.build(config)
    net.load_state_dict({n: make().to(parent.dtype).float() for n, make in tensors.items()}, strict=False)
    net.tie_weights()
    made: nn.Module = net.eval()
    return made


def _facts(params: int, folder: Path, look: Look) -> dict[str, float]:
    return {
        "params": params,
        "file_bytes": _prune_files.size_on_disk(folder),
        "peak_bytes": look.peak_bytes,
        "model_bytes": look.model_bytes,
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
    made: Pruned,
    model: str | Path,
    out: str | Path,
    text: str | Path | None,
    strategy: str,
    trials: int,
    seed: int,
    recover: int,
    space: LlmSubnet,
) -> str:
    """What to type for the same again."""
    words = ["untrained", "prune", str(model), *made.budget.asked.split(" ", 1)]
    words += ["--text", str(text)] if text is not None else []
    words += ["--proxy", made.proxy, "--strategy", strategy, "--trials", str(trials), "--seed", str(seed)]
    for name, value, usual in (
        ("--recover", recover, 0),
        ("--align", space.align, 8),
        ("--shortest", space.shortest, 0.5),
        ("--narrowest", space.narrowest, 0.25),
        ("--groups", space.groups, "all"),
        ("--sequences", space.sequences, 16),
        ("--length", space.length, 128),
    ):
        words += [name, str(value)] if value != usual else []
    return shlex.join([*words, "-o", str(out)])


def _report(made: Pruned, folder: Path) -> None:
    from untrained.apps.report.document import as_markdown
    from untrained.apps.report.pruned import as_json, sections, title

    (folder / "pruning.json").write_text(as_json(made), encoding="utf-8")
    (folder / "README.md").write_text(as_markdown(title(made), sections(made)), encoding="utf-8")
