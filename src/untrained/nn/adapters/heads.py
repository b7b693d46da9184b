"""Hugging Face models with the head of a task, of any type that the installed transformers builds."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from untrained.core.errors import UsageError
from untrained.nn.adapters.sources import described, own_luck, quiet, said, transformers, weights_in


def config_of(what: object) -> Any:
    """A configuration object as it is, or that of a directory or config.json; raises UsageError."""
    if not isinstance(what, str | Path):
        if hasattr(what, "model_type") and hasattr(what, "to_dict"):
            return what
        raise UsageError(
            f"an object of type {type(what).__name__} cannot be trained.\n"
            "  what can: an Architecture, an nn.Module, a Hugging Face configuration object, or the path of a"
            " model directory or config.json"
        )
    record, file = described(what)
    kind = str(record["model_type"])
    mapping = transformers().CONFIG_MAPPING
    if kind not in mapping:
        raise UsageError(
            f"{file}: the installed transformers knows no model type {kind!r}, and code from a model"
            " directory is never run"
        )
    try:
        return mapping[kind].from_dict({k: v for k, v in record.items() if k != "auto_map"})
    except Exception as error:  # whatever the checks of theirs raise, the file is at fault
        raise UsageError(f"{file} is not a {kind} configuration: {said(error)}") from None


def headed(
    what: object,
    task: str,
    generator: torch.Generator | None = None,
    *,
    labels: list[str] | None = None,
    pad: int | None = None,
) -> nn.Module:
    """The model class AutoModelFor<task> of a configuration or directory, in float32.

    Weights are those of the directory, where it has some; what it lacks, and everything else, is drawn from
    `generator`. Only a head may be lacking. Raises UsageError for a type without such a head.
    """
    config = deepcopy(config_of(what))
    if labels is not None:
        config.id2label, config.label2id = dict(enumerate(labels)), {n: i for i, n in enumerate(labels)}
    if pad is not None and getattr(config, "pad_token_id", None) is None:
        config.pad_token_id = pad
    try:
        made = getattr(transformers(), f"AutoModelFor{task}")._model_mapping[type(config)]
    except KeyError:
        raise UsageError(
            f"transformers has no {config.model_type} model for {task}.\n"
            "  take another recipe: untrained list recipe"
        ) from None
    folder = weights_in(what) if isinstance(what, str | Path) else None
    with own_luck(generator), quiet():
        try:
            return made(config) if folder is None else _loaded(made, config, folder)
        except UsageError:
            raise
        except Exception as error:  # a damaged file, or sizes that do not fit, show in many ways
            where = "this configuration" if folder is None else f"the model in {folder}"
            raise UsageError(f"{where} cannot be built: {said(error)}") from None


def _loaded(made: Any, config: Any, folder: Path) -> nn.Module:
    model, info = made.from_pretrained(
        folder,
        config=config,
        local_files_only=True,
        use_safetensors=True,
        dtype=torch.float32,
        output_loading_info=True,
    )
    body = f"{model.base_model_prefix}."
    missing = sorted(n for n in info["missing_keys"] if n.startswith(body) and "pooler" not in n)
    if missing:
        raise UsageError(
            f"the weights in {folder} lack {len(missing)} of the tensors of a {made.__name__}, the first"
            f" being {missing[0]}"
        )
    found: nn.Module = model
    return found
