"""Training by the names that a user types: a network, a recipe, a text."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from untrained.apps.probing import check_device, generator, trained_scale
from untrained.core.architecture import Architecture
from untrained.core.errors import UsageError
from untrained.core.named import construct
from untrained.core.space import Space
from untrained.nn.adapters.heads import config_of, headed
from untrained.training.classifier import Classifier
from untrained.training.data import labelled, sets
from untrained.training.data.baselines import baselines
from untrained.training.data.labelled import Labelled
from untrained.training.data.language import Language, from_files
from untrained.training.data.tokenizer import FILE, Tokenizer
from untrained.training.data.tokenizer import tokenizer as tokenizer_named
from untrained.training.folder import ARCHITECTURE, RECIPE, Folder
from untrained.training.recipe import TrainingRecipe
from untrained.training.trainer import Progress, Trained, fit, pace

HELD_OUT = 0.1  # share of a text that is kept for examination


@dataclass(frozen=True)
class Source:
    """What is read, as it was typed."""

    text: str | Path | None = None
    """a text, or for a classifier a file of labelled texts; None for the text that Python ships"""
    validation: str | Path | None = None
    """another such file to examine on; None for a part of `text`"""
    data: str | None = None
    """a data set of the package `datasets`, in place of both"""
    held_out: float = HELD_OUT
    """share that is kept for examination, where nothing else is"""

    def read(self, recipe: TrainingRecipe, words: Tokenizer) -> Language | Labelled:
        """The data of a recipe; raises BadText or UsageError."""
        if not 0 < self.held_out < 1:
            raise UsageError(f"held_out={self.held_out}; take a share between 0 and 1")
        if self.data is not None and (self.text is not None or self.validation is not None):
            raise UsageError("a data set stands alone: --data without --text and --validation")
        if recipe.reads == "examples":
            return self._labelled(words)
        if self.data is not None:
            return sets.language(self.data, words, held_out=self.held_out)
        return from_files(self.text, words, validation=self.validation, held_out=self.held_out)

    def _labelled(self, words: Tokenizer) -> Labelled:
        if self.data is not None:
            return sets.labelled(self.data, words, held_out=self.held_out)
        if self.text is None:
            raise UsageError(f"a classifier needs texts with labels: --text FILE\n  {labelled.FORM}")
        exam = None if self.validation is None else labelled.read(self.validation)
        return labelled.from_rows(
            labelled.read(self.text),
            words,
            source=f"the file {self.text}",
            validation=exam,
            held_out=self.held_out,
        )


def train(
    what: object,
    recipe: str | TrainingRecipe = "causal_lm",
    *,
    text: str | Path | None = None,
    validation: str | Path | None = None,
    data: str | None = None,
    held_out: float = HELD_OUT,
    tokenizer: str | Path | None = None,
    space: Space | None = None,
    scale: str = "paper",
    out: str | Path | None = None,
    resume: bool = False,
    minutes: float | None = None,
    device: str = "cpu",
    threads: int = 1,
    tensorboard: bool = False,
    progress: Progress | None = None,
) -> Trained:
    """Trains an architecture, an `nn.Module` or a Hugging Face model, and returns it with its marks.

    `what` is an Architecture (of `space`, where that has options; built at `scale`, such as "paper:width=64",
    with the vocabulary of the tokenizer unless the scale says another), a module that maps tokens (B, T) to
    logits (B, T, V) (trained in place), a configuration object, or the path of a model directory or
    config.json. `recipe` is a name with settings, "causal_lm:steps=300,peak_lr=1e-3". `text` is a UTF-8 file,
    its last `held_out` share kept for examination unless `validation` is another file; without one, English
    that Python ships. A classifier reads labelled texts there: JSON lines or CSV. `data` names a Hugging Face
    data set, or a directory with one, instead. `tokenizer` is "bytes", a tokenizer.json or a directory with
    one; by default that of the model's directory, else bytes. `minutes` takes as many steps as fit, by the
    time of the first few.

    With `out`, everything is kept in that folder, as `untrained.training.folder` lays it out, and
    `resume=True` goes on with what is there: on a CPU as if it had never been interrupted. More `threads` are
    faster for large networks on a CPU; their number belongs to the result, down to the last bit.
    """
    chosen = recipe_named(recipe)
    check_device(device)
    if threads < 1:
        raise UsageError(f"threads={threads}; take 1 or more")
    if isinstance(what, Architecture) and space is None:
        space = construct("space", what.space)
    words = tokenizer_named(tokenizer if tokenizer is not None else _own_tokenizer(what, space))
    read = Source(text, validation, data, held_out).read(chosen, words)
    if space is not None and scale.partition(":")[0] == "paper":
        scale = trained_scale(space, scale, words.vocabulary)
    model = network(what, chosen, read, space=space, scale=scale)
    chosen.check(read, model)
    folder = None if out is None else Folder(out, resume=resume)
    about: dict[str, Any] = {"what": _identity(what, scale), "tokenizer": words.name}
    if isinstance(read, Labelled):
        about["labels"] = read.labels
    if folder is not None:
        words.save(folder.path, for_transformers=hasattr(model, "save_pretrained"))
        if isinstance(what, Architecture):
            folder.write(ARCHITECTURE, {**json.loads(what.to_json()), "scale": scale})
    if minutes is not None:
        chosen = _timed(chosen, minutes, model, read, folder, device=device, threads=threads)
    counted = baselines(read) if isinstance(read, Language) and chosen.task == "CausalLM" else {}
    return fit(
        model,
        chosen,
        read,
        device=device,
        threads=threads,
        folder=folder,
        about=about,
        result={"baselines": counted, "params": sum(p.numel() for p in model.parameters())},
        board=tensorboard,
        progress=progress,
    )


def recipe_named(recipe: str | TrainingRecipe) -> TrainingRecipe:
    """A recipe as it is, or by its name and settings; raises UnknownName or UsageError."""
    found: TrainingRecipe = construct("recipe", recipe) if isinstance(recipe, str) else recipe
    return found


def network(
    what: object,
    recipe: TrainingRecipe,
    data: Language | Labelled,
    *,
    space: Space | None = None,
    scale: str = "paper",
) -> nn.Module:
    """The network that is trained; random weights depend on the recipe's seed alone."""
    luck, words = generator(recipe.seed), data.tokenizer
    labels = data.labels if isinstance(data, Labelled) else None
    if not isinstance(what, Architecture | nn.Module):
        return headed(what, recipe.task, luck, labels=labels, pad=words.pad)
    if isinstance(what, Architecture):
        place: Space = space or construct("space", what.space)
        place.validate(what)
        made = place.build(what, scale=scale, generator=luck)
    else:
        made = what
    if labels is None or hasattr(made, "save_pretrained"):
        return made
    return Classifier(made, len(labels), fill=words.pad or 0, generator=luck)


def _timed(
    recipe: TrainingRecipe,
    minutes: float,
    model: nn.Module,
    data: Language | Labelled,
    folder: Folder | None,
    **where: Any,
) -> TrainingRecipe:
    """The recipe with as many steps as fit; with those of the training that goes on, where one does."""
    if not 0 < minutes < 1e6:
        raise UsageError(f"minutes={minutes}; take a number above 0")
    before = folder.read(RECIPE) if folder else None
    if before:
        return replace(recipe, steps=before["settings"]["steps"])
    step, exam = pace(model, recipe, data, **where)
    return replace(recipe, steps=max(1, int(60 * minutes / (step + exam / recipe.eval_every))))


def _own_tokenizer(what: object, space: Space | None) -> Path | None:
    """The tokenizer of a model directory, or of the one that a space cuts; None where there is none."""
    named = what if isinstance(what, str | Path) else getattr(space, "path", "")
    if not named:
        return None
    place = Path(named).expanduser()
    place = place if place.is_dir() else place.parent
    return place if (place / FILE).is_file() else None


def _identity(what: object, scale: str) -> str:
    """What has to be the same network for a training to go on; of a module only its class."""
    if isinstance(what, Architecture):
        return f"{what.id} at {scale}"
    if isinstance(what, nn.Module):
        return type(what).__name__
    config: Any = config_of(what)
    return f"{config.model_type} {hashlib.sha256(config.to_json_string().encode()).hexdigest()[:16]}"
