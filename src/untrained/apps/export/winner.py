"""What is to be exported, however it is named: an architecture, a study, a store, a training's folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from untrained.core.architecture import Architecture
from untrained.core.errors import BadStore, UsageError
from untrained.core.study import Question, Study, Trial
from untrained.studies.overview import Overview, overview
from untrained.studies.store import load
from untrained.training.folder import ARCHITECTURE, RECIPE, RESULT, WEIGHTS
from untrained.training.trainer import Trained


@dataclass(frozen=True)
class Winner:
    """An architecture and what is known of it."""

    architecture: Architecture
    scale: str
    question: Question | None = None
    """of the search that found it"""
    trial: Trial | None = None
    trials: int = 0
    """how many the search had looked at"""
    weights: Path | None = None
    """of the training, else fresh ones are drawn"""
    folder: Path | None = None
    """of the training"""
    training: Mapping[str, Any] = field(default_factory=dict)
    """its recipe.json and result.json"""

    @property
    def labels(self) -> tuple[str, ...]:
        """What a classifier tells; empty for a language model."""
        return tuple(map(str, self.training.get("recipe", {}).get("labels", ())))


def winner(
    what: object, *, trial: str | int | None = None, study: str | None = None, scale: str | None = None
) -> Winner:
    """Finds it; raises UsageError or BadStore with what to type where there is nothing to export.

    What a training returned stands for its folder.
    """
    if isinstance(what, Trained):
        if what.folder is None:
            raise UsageError("this training was not kept, so it cannot be exported: train(..., out=DIR)")
        what = what.folder
    if isinstance(what, str | Path) and _is_training(str(what)):
        _no_choice(trial, study, "a training's folder holds one network")
        return _trained(Path(what).expanduser(), scale)
    if isinstance(what, Architecture):
        _no_choice(trial, study, "an architecture is one network")
        return Winner(what, scale or "paper")
    if isinstance(what, Study | Overview | str | Path):
        return _found(what, trial, study, scale or "paper")
    if what is None:
        raise UsageError(
            "there is nothing to export: the search has no good trial.\n  look why: untrained report STORE"
        )
    raise UsageError(
        f"a {type(what).__name__} is nothing that can be exported.\n"
        "  what can: an Architecture, a Study, the path of a store, or the folder of a training"
    )


def _no_choice(trial: object, study: object, why: str) -> None:
    if trial is not None or study is not None:
        raise UsageError(f"{why}: leave out {'--trial' if trial is not None else '--study'}")


# --- out of a search -----------------------------------------------------------------------------------


def _found(
    what: Study | Overview | str | Path, wanted: str | int | None, study: str | None, scale: str
) -> Winner:
    """The best trial of a search, or the one that is named."""
    if isinstance(what, str | Path):
        _check_store(str(what))
        what = overview(what, study=study, best=1, front=0)
    if wanted is None:
        leaders = what.leaders if isinstance(what, Overview) else what.distinct()[:1]
        if not leaders:
            raise UsageError(
                f"the search in {what.store or 'memory'} has no good trial, so there is nothing to export.\n"
                f"  look why: untrained report {what.store or 'STORE'}"
            )
        chosen = leaders[0]
    else:
        whole = load(what.store, study=what.study) if isinstance(what, Overview) else what
        chosen = _trial(whole, str(wanted))
    trials = what.trials if isinstance(what, Overview) else len(what.trials)
    return Winner(chosen.architecture, scale, what.question, chosen, trials)


def _trial(study: Study, wanted: str) -> Trial:
    """By its number, or by the architecture's id or the beginning of one."""
    where = study.store or "STORE"
    if wanted.isdigit() and len(wanted) < 8:
        if int(wanted) >= len(study.trials):
            raise UsageError(
                f"there is no trial {wanted}; the search has {len(study.trials):,}, numbered from 0.\n"
                f"  list them: untrained studies show {where}"
            )
        return study.trials[int(wanted)]
    ids = {t.architecture.id: t for t in reversed(study.trials)}
    found = [name for name in ids if len(wanted) >= 4 and name.startswith(wanted)]
    if len(found) == 1:
        return ids[found[0]]
    near = found[:3] or get_close_matches(wanted, ids, n=3)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    raise UsageError(
        f"no trial is called {wanted!r}.{hint}\n"
        "  name a trial by its number or by the id of its architecture\n"
        f"  list them: untrained studies show {where}"
    )


def _check_store(place: str) -> None:
    """Raises UsageError for a path that is no store, with what it seems to be."""
    if "://" in place:
        return
    path = Path(place).expanduser()
    if not path.exists():
        raise UsageError(
            f"there is no store or folder {place}.\n"
            "  export the best of a search: untrained export STORE -o DIR\n"
            "  or an architecture: untrained export --space SPACE --arch FILE -o DIR"
        )
    if path.is_dir():
        if (path / "config.json").exists():
            raise UsageError(f"{place} is a Hugging Face model already: from_pretrained loads it as it is")
        raise UsageError(
            f"{place} is a folder without {ARCHITECTURE}, so no training of ours is in it.\n"
            "  give a store, or a folder that untrained train has written"
        )
    with path.open("rb") as file:
        start = file.read(16)
    if start[:1] in b"{[" and start:
        raise UsageError(f"{place} is no store; it may hold architectures.\n  give it so: --arch {place}")


# --- out of a training ---------------------------------------------------------------------------------


def _is_training(place: str) -> bool:
    return "://" not in place and (Path(place).expanduser() / ARCHITECTURE).is_file()


def _trained(folder: Path, scale: str | None) -> Winner:
    record = _json(folder / ARCHITECTURE)
    if not isinstance(record, dict):
        raise UsageError(f"{folder / ARCHITECTURE} cannot be read as JSON")
    arch = Architecture.from_json(record)
    built = str(record.get("scale", "paper"))
    if scale is not None and scale != built:
        raise UsageError(f"the network in {folder} was trained at scale {built}: leave out --scale {scale}")
    if (folder / "config.json").is_file() and not (folder / WEIGHTS).is_file():
        raise UsageError(f"{folder} is a Hugging Face model already: from_pretrained loads it as it is")
    if not (folder / WEIGHTS).is_file():
        raise BadStore(
            f"{folder} has no {WEIGHTS} yet: the training was stopped before its first examination.\n"
            "  go on with it: the same untrained train with --resume"
        )
    training = {name: _json(folder / name) for name in (RECIPE, RESULT)}
    return Winner(
        arch,
        built,
        weights=folder / WEIGHTS,
        folder=folder,
        training={k.removesuffix(".json"): v for k, v in training.items() if isinstance(v, dict)},
    )


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
