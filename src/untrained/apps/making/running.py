"""One training, as a row of the table."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

from untrained import __version__
from untrained.apps.making.families import Family
from untrained.apps.making.plan import Job
from untrained.apps.probing import generator
from untrained.core.named import construct
from untrained.core.runs import DIVERGED, OK, Run, rounded
from untrained.training.curve import Line, read_lines
from untrained.training.data.language import Language
from untrained.training.folder import Folder
from untrained.training.recipe import TrainingRecipe
from untrained.training.trainer import Diverged, fit


def run(family: Family, job: Job, data: Language, place: Path, device: str) -> Run:
    """Trains a network; one that diverges has a row that says when. `place` keeps it in the meantime."""
    space = family.opened()
    recipe = recipe_of(family, job)
    model = space.build(job.arch, scale=family.scale, generator=generator(job.seed))
    folder = Folder(place, resume=True)
    lines: list[Line] = []
    reason, seconds = "", 0.0
    try:
        trained = fit(model, recipe, data, device=device, folder=folder, about={"what": job.arch.id})
        lines, seconds = trained.curve, trained.seconds
    except Diverged as error:
        reason = str(error).partition("\n")[0].removeprefix("training diverged: ")
        lines = read_lines(folder.curve)
        seconds = max((line["seconds"] for line in lines), default=0.0)
    exams = rounded([line["held_out"]["loss"] for line in lines if "held_out" in line])
    lessons = rounded([line["loss"] for line in lines if "loss" in line])
    return Run(
        arch=job.arch,
        band=job.band,
        seed=job.seed,
        params_nonembedding=space.count(job.arch, scale=family.scale)["params_nonembedding"],
        tokens=recipe.steps * recipe.batch * recipe.length,
        status=DIVERGED if reason else OK,
        loss=None if reason else exams[-1],
        curve=exams,
        learning=lessons,
        reason=reason,
        seconds=round(seconds, 1),
        device=_name(device),
        versions={
            "untrained": __version__,
            "torch": torch.__version__.partition("+")[0],
            "python": platform.python_version(),
        },
    )


def recipe_of(family: Family, job: Job) -> TrainingRecipe:
    """How a network is trained."""
    settings = {**family.settings, "peak_lr": job.peak_lr, "seed": job.seed}
    found: TrainingRecipe = construct("recipe", family.recipe, **settings)
    return found


def _name(device: str) -> str:
    """The device as people know it."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device
