"""Untrained: which neural network to train, told before training any.

    import untrained as ut
    study = ut.search("rnn_cell", maximize="fading_memory", where="params <= 8e6", trials=500, seed=0)
    study.best

Names are loaded when they are first used, so that importing this package loads no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from untrained.core.after_import import after_import
from untrained.core.shown import shown_by

if TYPE_CHECKING:
    from untrained.apps.api import calibrate as calibrate
    from untrained.apps.api import compare as compare
    from untrained.apps.api import correlate as correlate
    from untrained.apps.api import features as features
    from untrained.apps.api import rank as rank
    from untrained.apps.api import reduce as reduce
    from untrained.apps.api import rng as rng
    from untrained.apps.api import score as score
    from untrained.apps.api import search as search
    from untrained.apps.api import space as space
    from untrained.apps.discovering import discover as discover
    from untrained.apps.export.writing import export as export
    from untrained.apps.leaderboard.whole import leaderboard as leaderboard
    from untrained.apps.pruning import prune as prune
    from untrained.apps.training import train as train
    from untrained.core.aggregate import Arriving as Arriving
    from untrained.core.aggregate import aggregate as aggregate
    from untrained.core.architecture import Architecture as Architecture
    from untrained.core.benchmark import benchmark as benchmark
    from untrained.core.metric import Measurement as Measurement
    from untrained.core.metric import Parts as Parts
    from untrained.core.metric import cost as cost
    from untrained.core.metric import metric as metric
    from untrained.core.metric import proxy as proxy
    from untrained.core.strategy import strategy as strategy
    from untrained.studies.overview import overview as overview
    from untrained.studies.store import load as load

__version__ = "0.1.0"

_HOMES = {
    "apps.api": (
        "calibrate",
        "compare",
        "correlate",
        "features",
        "rank",
        "reduce",
        "rng",
        "score",
        "search",
        "space",
    ),
    "apps.discovering": ("discover",),
    "apps.export.writing": ("export",),
    "apps.pruning": ("prune",),
    "apps.training": ("train",),
    "apps.leaderboard.whole": ("leaderboard",),
    "core.aggregate": ("Arriving", "aggregate"),
    "core.architecture": ("Architecture",),
    "core.benchmark": ("benchmark",),
    "core.errors": ("UntrainedError", "UsageError"),
    "core.metric": ("Measurement", "Parts", "cost", "metric", "proxy"),
    "core.strategy": ("strategy",),
    "studies.overview": ("overview",),
    "studies.store": ("load",),
}


def __getattr__(name: str) -> Any:
    if name == "plot":
        return import_module("untrained.apps.report.plots")
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"untrained.{home}"), name)
    raise AttributeError(f"module 'untrained' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({"__version__", "plot", *(name for names in _HOMES.values() for name in names)})


def _drawn(value: object) -> str | None:
    """How a notebook shows our values; loaded when the first is shown."""
    found: str | None = import_module("untrained.apps.notebook").html(value)
    return found


shown_by(_drawn)


def _register() -> None:
    import_module("untrained.nn.hf.register").register()


after_import("transformers.models.auto.configuration_auto", _register)  # our models, in Hugging Face's lists
