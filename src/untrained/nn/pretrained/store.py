"""Calibration statistics on disk, whole or not at all."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from untrained.core.errors import UntrainedError
from untrained.core.files import replaced
from untrained.nn.pretrained.statistics import Statistics

log = logging.getLogger(__name__)


def load(path: Path) -> Statistics | None:
    """What `save` wrote; None where there is nothing, or nothing whole."""
    try:
        return Statistics.of(load_file(path))
    except (OSError, SafetensorError, KeyError, ValueError):
        return None


def save(path: Path, found: Statistics) -> None:
    """Writes it as a whole. A cache that cannot be written only costs time later."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(path) as part:
            save_file(found.tensors(), part)
    except (OSError, SafetensorError, UntrainedError) as error:
        log.warning("the calibration is not kept: %s", error)


@contextmanager
def without_luck() -> Iterator[None]:
    """Weights that are about to be overwritten are not drawn."""
    try:
        quick = import_module("transformers.initialization").no_init_weights
    except (ImportError, AttributeError):  # another version of transformers: slower, and the same
        yield
        return
    with quick():
        yield
