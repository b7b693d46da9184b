"""Hugging Face configurations and directories as networks: read, made small, built, loaded.

Nothing is downloaded, no code from a directory is run, and weights come from safetensors only.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from untrained.core.errors import MissingExtra, UsageError
from untrained.nn.adapters.huggingface import FAMILIES
from untrained.nn.adapters.own import SHELLS, is_own, named

BODY = 32e6  # weights in the layers of a network at probe scale, about
NARROWEST = 4  # channels of a head at probe scale
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.h5", "*.msgpack")


@dataclass(frozen=True)
class Blueprint:
    """A configuration, and the directory of its weights where there are any."""

    config: Any
    folder: Path | None = None

    @property
    def own(self) -> bool:
        """Whether it is of a model type of ours, which is taken as it is and never made smaller."""
        return is_own(self.config.model_type)


def of_config(config: Any) -> Blueprint:
    """Checks a configuration object; raises UsageError for one that no adapter takes or nothing can build."""
    kind = str(getattr(config, "model_type", ""))
    if is_own(kind):
        return _of_ours(config)
    if kind not in FAMILIES:
        raise UsageError(
            f"no adapter for the model type {kind or '(none)'!r}; there is one for: {', '.join(FAMILIES)}\n"
            "  another: build the model, put a module with embed, encode and roles around it, and score that;"
            " see untrained.nn.taps"
        )
    try:
        layers, width, heads = config.num_hidden_layers, config.hidden_size, config.num_attention_heads
        sizes = {"layers": layers, "width": width, "heads": heads, "words": config.vocab_size}
        sizes["feed-forward width"] = _inner(config)
    except AttributeError as error:
        raise UsageError(f"this {kind} configuration cannot be built: {error}") from None
    if bad := [f"{n} {what}" for what, n in sizes.items() if not isinstance(n, int) or n < 1]:
        raise UsageError(f"a {kind} network with {', '.join(bad)} cannot be built; take 1 or more")
    if width % heads and not getattr(config, "head_dim", None):
        raise UsageError(f"{heads} heads do not divide the width {width} of this {kind} configuration")
    return Blueprint(config)


def _of_ours(config: Any) -> Blueprint:
    """A configuration that an export wrote; raises UsageError for one that nothing can be built of."""
    try:
        size(config)
    except Exception as error:  # a description that was changed by hand can fail anywhere
        raise UsageError(f"this {config.model_type} configuration cannot be built: {said(error)}") from None
    return Blueprint(config)


def read(path: str | Path) -> Blueprint:
    """A directory with a config.json (and perhaps safetensors), or such a file alone."""
    record, file = described(path)
    return Blueprint(_parsed(record, file), weights_in(path))


def described(path: str | Path) -> tuple[dict[str, Any], Path]:
    """What a config.json says, and where it is; raises UsageError for one that cannot be read."""
    place = Path(path).expanduser()
    if not place.exists():
        raise UsageError(
            f"there is no file or directory {path}.\n"
            "  models are read from disk, never downloaded: hf download NAME --local-dir DIR, then give DIR"
        )
    file = place / "config.json" if place.is_dir() else place
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"{place} has no config.json that can be read: {error.strerror}.\n"
            "  give a directory as save_pretrained writes it, or a config.json"
        ) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is not JSON: {error}") from None
    if not isinstance(record, dict) or "model_type" not in record:
        raise UsageError(f"{file} names no model_type, so it is no Hugging Face configuration")
    return record, file


def weights_in(path: str | Path) -> Path | None:
    """The directory where it has safetensors; raises UsageError where it has pickled weights only."""
    place = Path(path).expanduser()
    folder = place if place.is_dir() and any(place.glob("*.safetensors")) else None
    pickled = sorted(p.name for pattern in PICKLED for p in place.glob(pattern)) if place.is_dir() else []
    if pickled and folder is None:
        raise UsageError(
            f"{place} has its weights in {pickled[0]} and not in safetensors: reading such a file can run"
            " code, so it is not read.\n"
            "  convert it where you trust it: load the model there and call save_pretrained(DIR)\n"
            f"  or take the shape with random weights: {place / 'config.json'}"
        )
    return folder


def _parsed(record: dict[str, Any], file: Path) -> Any:
    kind = str(record["model_type"])
    if kind not in FAMILIES and not is_own(kind):
        of_config(type("Unknown", (), {"model_type": kind}))
    made = transformers().CONFIG_MAPPING[kind]
    try:
        config = made.from_dict({k: v for k, v in record.items() if k != "auto_map"})
    except Exception as error:  # whatever the checks of theirs raise, the file is at fault
        raise UsageError(f"{file} is not a {kind} configuration: {said(error)}") from None
    return of_config(config).config


def transformers() -> Any:
    """The package; raises MissingExtra where it is not installed."""
    try:
        return import_module("transformers")
    except ImportError:
        raise MissingExtra("reading a Hugging Face model", "transformers", "hf") from None


# --- probe scale ---------------------------------------------------------------------------------------


def divisor(config: Any) -> int:
    """By how much the widths are divided at probe scale: 1, 2, 4, ... until the layers hold about 32 M."""
    width = config.hidden_size
    body = config.num_hidden_layers * (4 * width**2 + 3 * width * _inner(config))
    return int(2 ** max(0, math.ceil(math.log2(body / BODY) / 2)))


def shrunk(config: Any, by: int, *, vocabulary: int, length: int) -> Any:
    """The same family, depth and heads with narrower heads, and no more words and positions than are shown.

    Each head keeps 1/`by` of its channels, an even number and no fewer than 4; the width, the feed-forward
    width and the width of a factorised embedding shrink in the same ratio.
    """
    heads, width = config.num_attention_heads, config.hidden_size
    head = getattr(config, "head_dim", None) or width // heads
    narrow = head if by == 1 else min(head, max(NARROWEST, head // by // 2 * 2))
    ratio = narrow / head
    vocabulary = min(config.vocab_size, vocabulary)
    changes = {
        "vocab_size": vocabulary,
        "hidden_size": max(1, round(width * ratio / heads)) * heads,
        "n_inner" if config.model_type == "gpt2" else "intermediate_size": max(
            1, round(_inner(config) * ratio)
        ),
    }
    if getattr(config, "head_dim", None):
        changes["head_dim"] = narrow
    if getattr(config, "embedding_size", None):
        changes["embedding_size"] = max(1, round(config.embedding_size * ratio))
    learned = FAMILIES[config.model_type].learned
    if learned and learned(config) > length:
        changes["max_position_embeddings"] = config.max_position_embeddings - learned(config) + length
    made = deepcopy(config)
    special = ("bos_token_id", "eos_token_id", "pad_token_id")
    outside = {name: None for name in special if _outside(getattr(config, name, None), vocabulary)}
    # One by one each value would be checked against the old ones.
    record = {**made.to_dict(), **{made.attribute_map.get(k, k): v for k, v in changes.items()}, **outside}
    return type(config).from_dict(record)


def _inner(config: Any) -> int:
    inner = config.n_inner if config.model_type == "gpt2" else config.intermediate_size
    return int(inner or 4 * config.hidden_size)


def _outside(token: Any, vocabulary: int) -> bool:
    tokens = token if isinstance(token, list) else [token]
    return any(isinstance(t, int) and t >= vocabulary for t in tokens)


# --- networks ------------------------------------------------------------------------------------------


def built(config: Any, generator: torch.Generator | None = None) -> nn.Module:
    """The network with random weights, as its authors draw them, from `generator`; in float32."""
    made = _class(config)
    with drawn_from(generator):
        model: nn.Module = made(deepcopy(config))
    return model


def size(config: Any) -> int:
    """Weights of the network, which is built without memory for them; for our own types."""
    made = _class(config)
    with torch.device("meta"), drawn_from(None):
        model = made(deepcopy(config))
    return sum(w.numel() for w in model.parameters())


def loaded(plan: Blueprint) -> nn.Module:
    """The network with the weights of its directory, in float32; raises UsageError where one is missing."""
    made = _class(plan.config)
    with drawn_from(None):
        try:
            model, info = made.from_pretrained(
                plan.folder,
                config=deepcopy(plan.config),
                local_files_only=True,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
            )
        except Exception as error:  # a damaged file shows in many ways
            raise UsageError(
                f"the weights in {plan.folder} cannot be loaded: {said(error)}\n"
                f"  or take the shape with random weights: {plan.folder}/config.json"
            ) from None
    if missing := sorted(info["missing_keys"]):
        raise UsageError(
            f"the weights in {plan.folder} lack {len(missing)} of the tensors of a {made.__name__}, the first"
            f" being {missing[0]}"
        )
    found: nn.Module = model
    return found


def _class(config: Any) -> Any:
    """The model class that the configuration names, else the family's language model."""
    package = transformers()
    if is_own(config.model_type) and (own := named(package, config)) is not None:
        return own
    name = (getattr(config, "architectures", None) or [""])[0]
    made = getattr(package, name, None) if name else None
    if made is not None and getattr(made.config_class, "model_type", None) == config.model_type:
        return made
    kind = config.model_type
    usual = SHELLS.get(kind) or FAMILIES[kind].task
    task = "CausalLM" if getattr(config, "is_decoder", False) else usual
    return getattr(package, f"AutoModelFor{task}")._model_mapping[type(config)]


@contextmanager
def drawn_from(generator: torch.Generator | None) -> Iterator[None]:
    """For making a model: its weights come from `generator`, and nothing is printed."""
    with own_luck(generator), quiet():
        yield


@contextmanager
def own_luck(generator: torch.Generator | None) -> Iterator[None]:
    """Lets code that draws from torch's global generator draw from ours, and puts the global one back."""
    with torch.random.fork_rng(devices=[]):
        seed = 0 if generator is None else int(torch.randint(2**62, (), generator=generator))
        torch.default_generator.manual_seed(seed)
        yield


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars and no advice on standard error while a model is made."""
    log = transformers().logging
    level, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if bars:
            log.enable_progress_bar()


def said(error: Exception) -> str:
    """The first line of somebody's message, or the kind of error where there is none."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return f"{type(error).__name__}: {lines[0]}" if len(lines) == 1 else f"{lines[0]} {lines[1].strip()}"
