"""Exporting: build, convert, write beside the place, check in a fresh process, then take the name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from untrained.apps.export.card import card
from untrained.apps.export.fresh import difference, reloaded
from untrained.apps.export.place import beside, check_room, free
from untrained.apps.export.winner import Winner, winner
from untrained.apps.probing import generator
from untrained.core.bytes import VOCABULARY
from untrained.core.errors import MissingExtra, UsageError
from untrained.core.named import construct
from untrained.core.space import Space
from untrained.nn.adapters.sources import quiet
from untrained.nn.byte_tokenizer import byte_tokenizer
from untrained.nn.hf.convert import Converted, converted
from untrained.training.checkpoint import load_tensors, read_tensors
from untrained.training.classifier import Classifier
from untrained.training.data.tokenizer import FILE as TOKENIZER

SHOWN = (2, 12)  # sequences and tokens of the check


@dataclass(frozen=True)
class Exported:
    """What was written."""

    path: Path
    architecture: str
    """its id"""
    model_type: str
    auto: str
    """the auto class of transformers that loads it"""
    ours: bool
    """whether loading it takes `import untrained`"""
    params: int
    trained: bool
    difference: float
    """largest difference of a logit between our network and the directory as a fresh process loads it, or
    its share of the largest logit where that is beyond 1"""
    onnx: float | None = None
    """the same for onnxruntime, over two shapes; None where no ONNX was asked for"""

    def record(self) -> dict[str, Any]:
        """As JSON says it."""
        return {**self.__dict__, "path": str(self.path)}


def export(
    what: object,
    out: str | Path,
    *,
    trial: str | int | None = None,
    study: str | None = None,
    scale: str | None = None,
    seed: int = 0,
    onnx: bool = False,
    licence: str = "unknown",
    say: Callable[[str], None] = lambda message: None,
) -> Exported:
    """Writes a winner as a Hugging Face directory, which a fresh process has loaded and found equal.

    `what` is an Architecture, a Study or its `best`, the location of a store, a folder that `untrained train`
    wrote, or what `ut.train` returned; `trial` names one of a study by number or id, `study` one of several
    in a store. Weights are those of the training, else fresh from `seed`; the network has the size of
    `scale`, paper by default. `licence` goes into the model card. `onnx` adds a model.onnx, checked in
    onnxruntime at two shapes.

    Raises UsageError where `out` exists, MissingExtra without transformers, UntrainedError where writing or
    the check fails; then nothing is left at `out`.
    """
    place = free(out)
    _check_packages()
    found = winner(what, trial=trial, study=study, scale=scale)
    say(f"building {found.architecture.id} at scale {found.scale}")
    network = built(found, seed)
    if onnx and found.labels:
        raise UsageError(
            f"{found.folder} holds a classifier, and ONNX is for language models: leave out --onnx"
        )
    with quiet():
        if isinstance(network, Classifier):
            form = converted(network.body, head=network.head, labels=found.labels)
        else:
            form = converted(network)
    params = sum(w.numel() for w in network.parameters())
    check_room(place, params * (8 if onnx else 4))
    with beside(place) as part:
        _write(part, form, found)
        say("loading it in a fresh process")
        apart = _checked(part, form, network)
        apart_onnx = None
        if onnx:
            from untrained.apps.export.onnx import write_onnx

            say("writing and checking ONNX")
            apart_onnx = write_onnx(network, part / "model.onnx")
        made = Exported(
            place,
            found.architecture.id,
            form.model.config.model_type,
            form.auto,
            form.ours,
            params,
            found.weights is not None,
            apart,
            apart_onnx,
        )
        text = card(found, made, cached=form.cached, seed=seed, licence=licence, name=place.name)
        (part / "README.md").write_text(text, encoding="utf-8")
        # Some writers make their files private; all get the mode that new files have here.
        mode = (part / "README.md").stat().st_mode
        for file in part.iterdir():
            file.chmod(mode)
    return made


def built(found: Winner, seed: int) -> nn.Module:
    """The network in evaluation mode, with the weights of the training, else fresh ones from the seed."""
    space: Space = construct("space", found.architecture.space)
    space.validate(found.architecture)
    network = space.build(found.architecture, scale=found.scale, generator=generator(seed)).eval()
    if found.labels:
        network = Classifier(network, len(found.labels), generator=generator(seed)).eval()
    if found.weights is not None:
        load_tensors(network, read_tensors(found.weights)[0], found.weights)
    return network


def _write(part: Path, form: Converted, found: Winner) -> None:
    """Configuration, weights, tokenizer, and the architecture itself."""
    words = _tokenizer(form, found)
    if words is not None:
        for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
            for place in (form.model.config, getattr(form.model, "generation_config", None)):
                if place is not None:
                    setattr(place, name, getattr(words, name))
    with quiet():
        form.model.save_pretrained(part)
        if words is not None:
            words.save_pretrained(part)
    record = {**json.loads(found.architecture.to_json()), "scale": found.scale}
    (part / "architecture.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _tokenizer(form: Converted, found: Winner) -> Any:
    """That of the training; bytes where the vocabulary is that of bytes; else None."""
    trained = found.training.get("recipe", {}).get("tokenizer", "bytes")
    if trained == "bytes":
        return byte_tokenizer() if form.model.config.vocab_size == VOCABULARY else None
    file = found.folder / TOKENIZER if found.folder is not None else None
    if file is None or not file.is_file():
        return None
    return import_module("transformers").PreTrainedTokenizerFast(tokenizer_file=str(file))


def _checked(part: Path, form: Converted, network: nn.Module) -> float:
    """The largest difference between our network and the directory as a fresh process loads it."""
    words = form.model.config.vocab_size
    tokens = torch.randint(words, SHOWN, generator=generator(1))
    with torch.inference_mode():
        wanted: Tensor = network(tokens)
    found = reloaded(part, tokens, auto=form.auto, ours=form.ours)
    return difference(found, wanted, "the exported model")


def _check_packages() -> None:
    """Raises MissingExtra now rather than after a large network was built."""
    try:
        import_module("untrained.nn.hf.models")
    except ImportError as error:
        raise MissingExtra("an export", (error.name or "transformers").partition(".")[0], "hf") from None
