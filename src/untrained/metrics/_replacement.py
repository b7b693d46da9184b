"""The experiment behind the memory proxies: replace one word, watch what changes and for how long."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from untrained.core.errors import MeasurementFailed
from untrained.metrics._spectrum import correlation, eigenvalues
from untrained.nn.probe import Probe

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
    changed: dict[int, list[Tensor]]  # step -> the same after the word at this step is replaced
    embedding_moved: dict[int, Tensor]  # step -> change of the embedding (B, E)


def replaced_tokens(probe: Probe) -> Replacement:
    """One forward of the text and its copies, in each of which one word is the next sequence's.

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
    copies = [tokens]
    for position in POSITIONS:
        copy = tokens.clone()
        copy[:, position] = tokens[:, position].roll(1)
        copies.append(copy)
    run = probe.encode(torch.cat(copies), roles=("block",))
    layers = [torch.split(output, sequences) for (output,) in run.tape["block"]]
    embedded = torch.split(run.embedded, sequences)
    return Replacement(
        base=[parts[0] for parts in layers],
        changed={p: [parts[i] for parts in layers] for i, p in enumerate(POSITIONS, start=1)},
        embedding_moved={p: (embedded[i] - embedded[0])[:, p] for i, p in enumerate(POSITIONS, start=1)},
    )


def shares(seen: Replacement, layer: int) -> Tensor:
    """p_k: share of a layer's natural variation that the word k steps ago owns, k = 0..8, (9,)."""
    base = seen.base[layer].double()  # (B, T, H)
    spread = 2 * base.var(0, correction=0).sum(-1)  # (T,), squared distance of two unrelated texts
    floor = EPS**2 * base.square().sum(-1).mean() + 1e-30
    rows = []
    for position, changed in seen.changed.items():
        there = slice(position, position + LAGS)
        moved = (changed[layer].double()[:, there] - base[:, there]).square().sum(-1).mean(0)  # (9,)
        rows.append(torch.nan_to_num(moved / (spread[there] + floor), nan=0.0, posinf=0.0, neginf=0.0))
    p = torch.stack(rows).mean(0)
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
