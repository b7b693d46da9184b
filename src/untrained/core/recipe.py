"""How something is trained."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """How networks were, or are to be, trained. Benchmarks state theirs; training rooms run them."""

    data: str
    """text or data set, as its authors call it"""
    epochs: int
    """passes over the data"""
    batch: int
    """sequences per weight update"""
    length: int
    """tokens per sequence"""
    optimizer: str
    """name, as in torch.optim"""
    lr: float
    """peak learning rate"""
    weight_decay: float = 0.0
    """L2 penalty per step, as the optimizer takes it"""
    clip: float = 0.0
    """largest gradient norm; 0 means not clipped"""
