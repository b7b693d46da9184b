"""The model card: what the model is, how it was found, how it is loaded, and what it cannot do."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from untrained import __version__
from untrained.apps.export.winner import Winner
from untrained.apps.report.command import command
from untrained.apps.report.table import number
from untrained.core.errors import UntrainedError
from untrained.core.metric import metric
from untrained.core.named import construct
from untrained.core.space import Space

if TYPE_CHECKING:
    from untrained.apps.export.writing import Exported

TASKS = {
    "AutoModelForCausalLM": "text-generation",
    "AutoModelForMaskedLM": "fill-mask",
    "AutoModelForSequenceClassification": "text-classification",
}
PACKAGES = ("torch", "transformers", "safetensors")
LONGEST = 64  # characters of a choice in the table; the file beside the card has it whole


def card(found: Winner, made: Exported, *, cached: bool, seed: int, licence: str, name: str) -> str:
    """The whole README.md."""
    parts = [
        _front(made, licence),
        f"# {name}\n\n{_sentence(found, made, seed)}",
        _use(made, name),
        _architecture(found),
        _numbers(found),
        _search(found),
        _training(found),
        _limits(made, cached),
        f"## Licence\n\n{licence}" + (": whoever exported it has not said." if licence == "unknown" else ""),
        _written(made),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front(made: Exported, licence: str) -> str:
    """What the hub reads."""
    lines = ["---", f"license: {json.dumps(licence)}", "library_name: transformers"]
    lines += [
        f"pipeline_tag: {TASKS[made.auto]}",
        "tags:",
        "- untrained",
        "- neural-architecture-search",
        "---",
    ]
    return "\n".join(lines)


def _sentence(found: Winner, made: Exported, seed: int) -> str:
    origin = "found by a search that trained nothing" if found.question else "given as it is"
    weights = (
        "Its weights are trained; see below."
        if made.trained
        else f"**Its weights are random** (seed {seed}): train it before you use it."
    )
    return (
        f"A network of the space `{found.architecture.space}`, {origin}: {made.params:,} parameters at scale"
        f" `{found.scale}`, model type `{made.model_type}`. {weights}"
    )


def _use(made: Exported, name: str) -> str:
    first = "import untrained  # makes the model type known; no remote code\n" if made.ours else ""
    return (
        f"## Use\n\n```python\n{first}from transformers import {made.auto}\n\n"
        f'model = {made.auto}.from_pretrained("{name}")\n```'
    )


def _architecture(found: Winner) -> str:
    rows = [[key, _short(value)] for key, value in found.architecture.choices]
    return (
        f"## Architecture `{found.architecture.id}`\n\n{_table(['choice', 'value'], rows)}\n\n"
        "`architecture.json` holds it whole; `untrained score --arch` and `untrained train --arch` read it."
    )


def _numbers(found: Winner) -> str:
    """Costs in closed form at the exported scale, and the values that the search saw."""
    space: Space = construct("space", found.architecture.space)
    counted = space.count(found.architecture, scale=found.scale)
    rows = [
        [name, f"{value:,}", _unit(name), f"counted, scale {found.scale}"] for name, value in counted.items()
    ]
    scale = found.question.scale if found.question else ""
    for name, value in (found.trial.values if found.trial else {}).items():
        rows.append([name, number(value, 6), _unit(name), f"as the search saw it, scale {scale}"])
    return f"## Costs and scores\n\n{_table(['what', 'value', 'unit', 'how'], rows)}" if rows else ""


def _unit(label: str) -> str:
    """Unit and direction of a value, as far as its metric says them."""
    try:
        found = metric(label.partition(".")[0])
    except UntrainedError:
        return ""
    return ", ".join(part for part in (found.unit, f"{found.better} is better") if part)


def _search(found: Winner) -> str:
    if found.question is None or found.trial is None:
        return ""
    asked = found.question
    facts = [
        f"trial {found.trial.number} of {found.trials:,}, strategy `{asked.strategy}`, seed {asked.seed}",
        "looked for: " + ", ".join(f"{name} ({better} is better)" for name, better in asked.objectives),
        *([f"within `{asked.where}`"] if asked.where else []),
        f"untrained {asked.version or __version__}",
    ]
    return (
        "## How it was found\n\n"
        + "\n".join(f"- {fact}" for fact in facts)
        + f"\n\n```sh\n{command(asked, found.trials)}\n```\n\n"
        "A score without training says which networks to train first. It is no measure of quality."
    )


def _training(found: Winner) -> str:
    """Recipe, data and marks, as the training wrote them."""
    recipe, result = found.training.get("recipe", {}), found.training.get("result", {})
    if not recipe:
        return ""
    facts = [
        f"recipe `{recipe.get('recipe')}`, data {recipe.get('data')}, tokenizer {recipe.get('tokenizer')}"
    ]
    facts += [f"settings: `{json.dumps(recipe.get('settings', {}))}`"]
    if result:
        marks = json.dumps(result.get("marks", {}))
        facts += [f"best examination, step {result.get('step')}: `{marks}` (losses in nats a token)"]
        facts += [f"beside it: `{json.dumps(result['baselines'])}`"] if "baselines" in result else []
    else:
        facts += ["it has not ended: these are the weights of its best examination so far"]
    return "## Training\n\n" + "\n".join(f"- {fact}" for fact in facts)


def _limits(made: Exported, cached: bool) -> str:
    facts = []
    if made.auto == "AutoModelForCausalLM" and not cached:
        facts.append(
            "No cache: a cosformer layer weighs by the length of the text, so `generate` reads the text anew"
            " for each token, with the same result with and without `use_cache`."
        )
    if made.ours and made.auto != "AutoModelForCausalLM":
        facts.append("Padded batches are run by length, since some mixers would see the padding.")
    if made.onnx is not None:
        facts.append(
            "`model.onnx` takes `input_ids` (batch and length are free) and gives `logits`; no cache, no"
            " attention mask."
        )
    return "## Limits\n\n" + "\n".join(f"- {fact}" for fact in facts) if facts else ""


def _written(made: Exported) -> str:
    versions = [f"untrained {__version__}", f"Python {platform.python_version()}"]
    for name in PACKAGES:
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    checks = f"a fresh process gives the same logits to within {made.difference:.1e}"
    checks += f", onnxruntime to within {made.onnx:.1e}" if made.onnx is not None else ""
    return f"Written by {', '.join(versions)}, and checked: {checks}."


def _short(value: Any) -> str:
    said = json.dumps(value)
    return said if len(said) <= LONGEST else said[: LONGEST - 4] + " ..."


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
