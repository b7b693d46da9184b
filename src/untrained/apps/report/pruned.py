"""What pruning did, for people and for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from untrained.apps.report.document import Section
from untrained.apps.report.table import Column, number, table

if TYPE_CHECKING:
    from untrained.apps.pruning import Pruned

BAR = 16  # characters of a full layer
ROWS = (
    ("params", "parameters", 1.0, 9),
    ("file_bytes", "file of weights, MB", 1e-6, 4),
    ("perplexity", "perplexity, held out", 1.0, 4),
    ("latency_ms", "latency of 64 tokens, ms", 1.0, 3),
    ("model_bytes", "memory of the model, MB", 1e-6, 3),
    ("peak_bytes", "memory of its process, MB", 1e-6, 3),
)


def title(made: Pruned) -> str:
    return f"{made.folder.name}: {made.parent.name}, pruned"


def record(made: Pruned) -> dict[str, Any]:
    """Everything as one JSON object."""
    g = made.cut.geometry
    return {
        "parent": str(made.parent),
        "family": made.family,
        "budget": made.budget.asked,
        "window": [made.budget.low, made.budget.high],
        "proxy": made.proxy,
        "score": made.score,
        "recovery_steps": made.recovered,
        "before": made.before,
        "after": made.after,
        **made.facts,
        "layers": [
            {
                "layer": k.layer,
                "heads": list(k.heads),
                "kv_heads": list(k.kv_heads),
                "inner": len(k.inner),
                "of": {"heads": g.heads, "kv_heads": g.kv_heads, "inner": g.inner},
            }
            for k in made.cut.kept
        ],
        "dropped": dropped(made),
        "architecture": json.loads(made.arch.to_json()),
        "command": made.command,
    }


def as_json(made: Pruned) -> str:
    return json.dumps(record(made), indent=1, allow_nan=False) + "\n"


def dropped(made: Pruned) -> list[int]:
    """Layers of the parent that are gone, from 0."""
    stays = {k.layer for k in made.cut.kept}
    return [i for i in range(made.cut.geometry.layers) if i not in stays]


def sections(made: Pruned) -> list[Section]:
    """The report in the order in which one reads it."""
    facts = made.facts
    how = (
        f"{made.proxy} = {number(made.score, 5)}, the best of {facts['distinct']} sub-networks of"
        f" {made.budget.low:,} to {made.budget.high:,} parameters ({made.budget.asked}). Heads and channels"
        f" were ranked, and sub-networks scored, on {facts['calibration']}; perplexity is that of"
        f" {facts['held_out_tokens']:,} tokens at its end, which nothing else has seen."
    )
    spent = (
        f"It took {facts['seconds']:.0f} s and at most {facts['peak_bytes_of_pruning'] / 1e6:,.0f} MB."
        " Latency is the median of 20 passes in turns, one thread, float32; memory is that of fresh"
        " processes, and the one with the sub-network gave the same logits as this one."
    )
    return [
        Section("Before and after", table=_numbers(made)),
        Section("What stayed", (_gone(made),), _picture(made)),
        Section("How", (how, *_recovery(made), spent)),
        Section("Use it", code=(_use(made),)),
        Section("The same again", code=(made.command,)),
    ]


def _numbers(made: Pruned) -> Any:
    rows = []
    for name, said, scale, digits in ROWS:
        a, b = made.before[name] * scale, made.after[name] * scale
        rows.append([said, number(a, digits), number(b, digits), f"{b / a:.2f}" if a else "-"])
    return table([Column("", left=True), "before", "after", "ratio"], rows)


def _recovery(made: Pruned) -> list[str]:
    if not made.recovered:
        return ["The weights are those of the parent: nothing was trained."]
    before = made.after["perplexity_before_recovery"]
    return [
        f"After the cut it was trained for {made.recovered} steps of 8 sequences on the text before its end;"
        f" until then its perplexity was {number(before, 4)}."
    ]


def _gone(made: Pruned) -> str:
    gone = dropped(made)
    if not gone:
        return "All layers stay, more or less wide."
    return f"Dropped: layer{'s' if len(gone) > 1 else ''} {', '.join(map(str, gone))} (counted from 0)."


def _picture(made: Pruned) -> Any:
    g, stays = made.cut.geometry, {k.layer: k for k in made.cut.kept}
    rows = []
    for i in range(g.layers):
        kept = stays.get(i)
        heads, kv, inner = (len(kept.heads), len(kept.kv_heads), len(kept.inner)) if kept else (0, 0, 0)
        rows.append(
            [
                str(i),
                _bar(heads, g.heads),
                f"{heads}/{g.heads}",
                f"{kv}/{g.kv_heads}",
                _bar(inner, g.inner),
                f"{inner}/{g.inner}",
            ]
        )
    titles = ["layer", Column("heads", left=True), "", "key/value", Column("MLP", left=True), ""]
    return table(titles, rows)


def _bar(part: int, whole: int) -> str:
    full = round(BAR * part / whole)
    return "#" * full + "." * (BAR - full)


def _use(made: Pruned) -> str:
    lines = ["from transformers import AutoModelForCausalLM"]
    lines += ["import untrained  # layers of different sizes"] if made.differing else []
    return "\n".join([*lines, f'model = AutoModelForCausalLM.from_pretrained("{made.folder}")'])
