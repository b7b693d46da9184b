"""The experiment behind the memory proxies: replace one word, watch what changes and for how long."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from untrained.core.errors import MeasurementFailed
from untrained.metrics._spectrum import correlation, eigenvalues
from untrained.nn.probe import Pass, Probe

EPS = 3e-6  # relative size under which a change is float32 rounding
NOISE = 0.03  # share of the variation below which a trained reader could not see it
LIVE = 1e-3  # eigenvalue from which a direction is used
POSITIONS = (8, 16)  # steps at which a word is replaced, after some steps of burn-in
LAGS = 9  # lags 0..8
SEQUENCES, LENGTH = 16, POSITIONS[-1] + LAGS


@dataclass(frozen=True)
class Replacement:
    """Layer outputs of a text, and of the text with one word replaced."""

    base: list[Tensor]  # per layer (B, T, H)
    changed: dict[int, list[Tensor]]  # step -> (B, 9, H) per layer, from the replaced word on
    embedding_moved: dict[int, Tensor]  # step -> change of the embedding (B, E)


def replaced_tokens(probe: Probe) -> Replacement:
    """The text and its copies, in each of which one word is the next sequence's.

    Raises MeasurementFailed where the batch is shorter than 25 words or has one sequence only.
    """
    return probe.once("replaced tokens", lambda: _run(probe))


def _run(probe: Probe) -> Replacement:
    tokens = probe.batch.tokens[:SEQUENCES, :LENGTH]
    sequences, length = tokens.shape
    if length < LENGTH or sequences < 2:
        raise MeasurementFailed(
            f"needs at least 2 sequences of {LENGTH} words, the batch has {sequences} of {length}"
        )
    copies = {p: tokens.clone() for p in POSITIONS}
    for position, copy in copies.items():
        copy[:, position] = tokens[:, position].roll(1)
    parts = _from_the_middle if "state" in probe.roles else _from_the_start
    base, changed = parts(probe, tokens, copies)
    return Replacement(
        base=[output for (output,) in base.tape["block"]],
        changed={p: [layer[i] for layer in changed.layers] for i, p in enumerate(POSITIONS)},
        embedding_moved={p: changed.embedded[i][:, 0] - base.embedded[:, p] for i, p in enumerate(POSITIONS)},
    )


@dataclass(frozen=True)
class _Copies:
    """The copies from their replaced word on: [copy] -> (B, 9, E), [layer][copy] -> (B, 9, H)."""

    embedded: list[Tensor]
    layers: list[list[Tensor]]


def _from_the_middle(probe: Probe, tokens: Tensor, copies: dict[int, Tensor]) -> tuple[Pass, _Copies]:
    """Runs each copy from its replaced word only; before it, it is the text."""
    base = probe.encode(tokens, roles=("block", "state"))
    starts = []
    for states in base.tape["state"]:
        carried = len(states) // LENGTH
        at = [states[p * carried : (p + 1) * carried] for p in copies]
        starts.append([torch.cat(together) for together in zip(*at, strict=True)])
    pieces = torch.cat([copy[:, p : p + LAGS] for p, copy in copies.items()])
    run = probe.encode(pieces, roles=("block",), start=starts)
    size = len(tokens)
    layers = [list(torch.split(output, size)) for (output,) in run.tape["block"]]
    return base, _Copies(list(torch.split(run.embedded, size)), layers)


def _from_the_start(probe: Probe, tokens: Tensor, copies: dict[int, Tensor]) -> tuple[Pass, _Copies]:
    """Runs the whole of each copy, for networks that cannot be started in mid-text."""
    base = probe.encode(tokens, roles=("block",))
    runs = {p: probe.encode(copy, roles=("block",)) for p, copy in copies.items()}
    embedded = [run.embedded[:, p : p + LAGS] for p, run in runs.items()]
    layers = [
        [outputs[0][:, p : p + LAGS] for outputs, p in zip(of_copies, copies, strict=True)]
        for of_copies in zip(*(run.tape["block"] for run in runs.values()), strict=True)
    ]
    return base, _Copies(embedded, layers)


def shares(seen: Replacement, layer: int) -> Tensor:
    """p_k: share of a layer's natural variation that the word k steps ago owns, k = 0..8, (9,)."""
    base = seen.base[layer].double()  # (B, T, H)
    centred = base - base.mean(0)
    spread = 2 * centred.square().sum(-1).mean(0)  # (T,), squared distance of two unrelated texts
    floor = EPS**2 * base.square().sum(-1).mean() + 1e-30
    after = torch.stack([base[:, p : p + LAGS] for p in seen.changed])  # (copies, B, 9, H)
    changed = torch.stack([layers[layer] for layers in seen.changed.values()]).double()
    moved = (changed - after).square().sum(-1).mean(1)  # (copies, 9)
    natural = torch.stack([spread[p : p + LAGS] for p in seen.changed])
    p = torch.nan_to_num(moved / (natural + floor), nan=0.0, posinf=0.0, neginf=0.0).mean(0)
    return p / p.sum().clamp(min=1.0)


def memory_score(p: Tensor) -> float:
    """S: channel capacity of each lag at a noise floor of 3 %, recent lags counting most."""
    q = 1 / torch.arange(1, LAGS + 1, dtype=torch.float64, device=p.device)
    return float((q / q.sum() * torch.log1p(p / NOISE)).sum())


def live_share(seen: Replacement) -> float:
    """Share of the directions of the first layer's units that are used, 0 to 1."""
    units = seen.base[0].flatten(0, 1).T  # (H, B * T)
    if not bool(torch.isfinite(units).all()):
        return 0.0
    used = eigenvalues(correlation(units)) >= LIVE
    # Fewer samples than units leave null directions that are no fault of the network.
    return float(used.sum()) / min(units.shape[0], units.shape[1] - 1)
