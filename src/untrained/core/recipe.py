"""How something is trained. Benchmarks state theirs; the recipes of the training room can be run."""

from __future__ import annotations

import ast
import inspect
import textwrap
from dataclasses import KW_ONLY, dataclass


@dataclass(frozen=True)
class Recipe:
    """How networks were, or are to be, trained. 0 and "" stand for what is not done, or not said."""

    data: str = ""
    """text or data set, as its authors call it"""
    _: KW_ONLY
    epochs: float = 0
    """passes over the data; counts where `steps` is 0"""
    steps: int = 0
    """weight updates"""
    batch: int = 0
    """sequences per weight update"""
    length: int = 0
    """tokens per sequence"""
    optimizer: str = ""
    """name, as in torch.optim"""
    peak_lr: float = 0.0
    """largest learning rate of the schedule"""
    schedule: str = ""
    """how the learning rate goes on after the warm-up: constant, linear or cosine"""
    warmup: float = 0.0
    """share of the steps over which the learning rate rises, from 0 to 1"""
    floor: float = 0.0
    """share of `peak_lr` that linear and cosine end at, from 0 to 1"""
    weight_decay: float = 0.0
    """shrinking of matrices per step, as the optimizer takes it"""
    beta1: float = 0.0
    """forgetting of the mean gradient, from 0 to 1"""
    beta2: float = 0.0
    """forgetting of the mean squared gradient, from 0 to 1"""
    clip: float = 0.0
    """largest norm of all gradients together; 0 for no limit"""


def sentences(recipe: type) -> dict[str, str]:
    """What stands under each field of a class and of those that it is made from, by field."""
    found: dict[str, str] = {}
    for cls in reversed(recipe.__mro__):
        if cls is object or "__dataclass_fields__" not in vars(cls):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, below in zip(body.body, body.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
                assert isinstance(field.target, ast.Name)
                assert isinstance(below.value, ast.Constant)
                found[field.target.id] = " ".join(str(below.value.value).split())
    return found
