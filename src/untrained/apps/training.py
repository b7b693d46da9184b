"""Training by the names that a user types: a network, a recipe, a text."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from torch import nn

from untrained.apps.foreign import plan
from untrained.apps.probing import check_device, generator
from untrained.core.architecture import Architecture
from untrained.core.errors import UsageError
from untrained.core.named import construct
from untrained.core.space import Space
from untrained.nn.adapters import sources
from untrained.training.data.baselines import baselines
from untrained.training.data.language import from_files
from untrained.training.data.tokenizer import FILE
from untrained.training.data.tokenizer import tokenizer as tokenizer_named
from untrained.training.folder import ARCHITECTURE, Folder
from untrained.training.recipe import TrainingRecipe
from untrained.training.trainer import Progress, Trained, fit

HELD_OUT = 0.1  # share of a text that is kept for examination


def train(
    what: object,
    recipe: str | TrainingRecipe = "causal_lm",
    *,
    text: str | Path | None = None,
    validation: str | Path | None = None,
    held_out: float = HELD_OUT,
    tokenizer: str | Path | None = None,
    scale: str = "paper",
    out: str | Path | None = None,
    resume: bool = False,
    device: str = "cpu",
    tensorboard: bool = False,
    progress: Progress | None = None,
) -> Trained:
    """Trains an architecture, an `nn.Module` or a Hugging Face model, and returns it with its marks.

    `what` is an Architecture (built at `scale`, such as "paper:vocabulary=260"), a module that maps tokens
    (B, T) to logits (B, T, V) (trained in place), a configuration object, or the path of a model directory or
    config.json. `recipe` is a name with settings, "causal_lm:steps=300,peak_lr=1e-3". `text` is a UTF-8 file,
    its last `held_out` share kept for examination unless `validation` is another file; without one, English
    that Python ships. `tokenizer` is "bytes", a tokenizer.json or a directory with one; by default that of
    the model's directory, else bytes.

    With `out`, everything is kept in that folder, as `untrained.training.folder` lays it out, and
    `resume=True` goes on with what is there: on a CPU as if it had never been interrupted.
    """
    chosen = recipe_named(recipe)
    check_device(device)
    if not 0 < held_out < 1:
        raise UsageError(f"held_out={held_out}; take a share between 0 and 1")
    words = tokenizer_named(tokenizer if tokenizer is not None else _own_tokenizer(what))
    data = from_files(text, words, validation=validation, held_out=held_out)
    model = network(what, chosen, scale)
    about = {"what": _identity(what, scale), "tokenizer": words.name}
    chosen.check(data, model)
    folder = None if out is None else Folder(out, resume=resume)
    if folder is not None:
        words.save(folder.path, for_transformers=hasattr(model, "save_pretrained"))
        if isinstance(what, Architecture):
            folder.write(ARCHITECTURE, {**json.loads(what.to_json()), "scale": scale})
    return fit(
        model,
        chosen,
        data,
        device=device,
        folder=folder,
        about=about,
        result={"baselines": baselines(data), "params": sum(p.numel() for p in model.parameters())},
        board=tensorboard,
        progress=progress,
    )


def recipe_named(recipe: str | TrainingRecipe) -> TrainingRecipe:
    """A recipe as it is, or by its name and settings; raises UnknownName or UsageError."""
    found: TrainingRecipe = construct("recipe", recipe) if isinstance(recipe, str) else recipe
    return found


def network(what: object, recipe: TrainingRecipe, scale: str) -> nn.Module:
    """The network that is trained; random weights depend on the recipe's seed alone."""
    luck = generator(recipe.seed)
    if isinstance(what, Architecture):
        space: Space = construct("space", what.space)
        space.validate(what)
        return space.build(what, scale=scale, generator=luck)
    if isinstance(what, nn.Module):
        return what
    found = plan(what)
    return sources.built(found.config, luck) if found.folder is None else sources.loaded(found)


def _own_tokenizer(what: object) -> Path | None:
    """The tokenizer of a model directory, where it has one."""
    if not isinstance(what, str | Path):
        return None
    place = Path(what).expanduser()
    place = place if place.is_dir() else place.parent
    return place if (place / FILE).is_file() else None


def _identity(what: object, scale: str) -> str:
    """What has to be the same network for a training to go on; of a module only its class."""
    if isinstance(what, Architecture):
        return f"{what.id} at {scale}"
    if isinstance(what, nn.Module):
        return type(what).__name__
    config = plan(what).config
    return f"{config.model_type} {hashlib.sha256(config.to_json_string().encode()).hexdigest()[:16]}"
