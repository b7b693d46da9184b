"""Which networks a benchmark has, and in which order they are trained."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from random import Random
from typing import Any

from untrained.apps.making.families import SEEDS, TOLERANCE, TRIES, VARIANTS, Band, Family
from untrained.core.architecture import Architecture
from untrained.core.errors import UntrainedError
from untrained.core.space import Space

CLASSIC = "classic"  # the band of well-known networks, which have no common size


@dataclass(frozen=True)
class Job:
    """One training to be done."""

    arch: Architecture
    band: str
    seed: int
    peak_lr: float

    @property
    def key(self) -> tuple[str, int]:
        return self.arch.id, self.seed


def plan(family: Family) -> list[Job]:
    """Every training of a family: each network once, bands in turn, then the further seeds.

    A band's networks are those of the draws from the sample's seed that have its size, in the order in which
    they came, each distinct one once, as many of each depth; those with the smallest ids, which are hashes,
    are repeated.
    """
    space = family.opened()
    by_band = drawn(space, family, family.seed, {b.name: b.networks for b in family.bands})
    classics = [Job(arch, CLASSIC, SEEDS[0], family.known_lr) for arch in family.classics()]
    first, again = [], []
    for band in family.bands:
        archs = by_band[band.name]
        first.append([Job(a, band.name, SEEDS[0], band.peak_lr) for a in archs])
        chosen = sorted(archs, key=lambda a: a.id)[: band.repeated]
        again += [[Job(a, band.name, seed, band.peak_lr) for a in chosen] for seed in SEEDS[1:]]
    return [*classics, *_in_turn(first), *_in_turn(again)]


def drawn(
    space: Space, family: Family, seed: int, wanted: Mapping[str, int]
) -> dict[str, list[Architecture]]:
    """So many networks of each band, from the draws of a seed."""
    luck = Random(seed)
    bands = [_Filling(b, wanted[b.name]) for b in family.bands]
    for _ in range(TRIES):
        if all(band.full for band in bands):
            return {band.name: list(band.archs.values()) for band in bands}
        arch = space.sample(luck)
        for band in bands:
            if (found := band.fitted(space, family, arch, luck)) is not None and band.takes(found):
                break
    short = {band.name: len(band.archs) for band in bands}
    raise UntrainedError(f"{family.name}: {TRIES:,} draws hold {short} networks of the bands, not {wanted}")


class _Filling:
    """A band that is being filled."""

    def __init__(self, band: Band, wanted: int) -> None:
        self.name, self.band, self.wanted = band.name, band, wanted
        self.archs: dict[str, Architecture] = {}
        self.each = math.ceil(wanted / len(band.depths)) if band.depths else wanted
        self.deep: Counter[int] = Counter()

    @property
    def full(self) -> bool:
        return len(self.archs) == self.wanted

    def fitted(self, space: Space, family: Family, arch: Architecture, luck: Random) -> Architecture | None:
        """The network, or the same with one choice of its layers drawn anew, with this band's size."""
        if self.full or not self._wants(arch):
            return None

        def size(arch: Architecture) -> int:
            return space.count(arch, scale=family.scale)["params_nonembedding"]

        if not family.fitted:
            return arch if self._fits(size(arch)) else None
        options = space.declared()[family.fitted].options
        choices = dict(arch.choices)

        def having(picked: Sequence[Any]) -> Architecture:
            return Architecture.of(arch.space, **choices | {family.fitted: tuple(picked)})

        # Layers add up: what an option adds to one is what it adds to all, divided by their number.
        alike = [size(having([o] * arch.layers)) for o in options]
        more = [(n - alike[0]) / arch.layers for n in alike]
        for _ in range(VARIANTS):
            picked = [luck.randrange(len(options)) for _ in range(arch.layers)]
            if self._fits(alike[0] + sum(more[i] for i in picked)):
                found = having([options[i] for i in picked])
                return found if self._fits(size(found)) else None
        return None

    def takes(self, arch: Architecture) -> bool:
        """Takes it unless it is there already."""
        new = arch.id not in self.archs
        self.archs.setdefault(arch.id, arch)
        if new and self.band.depths:
            self.deep[arch.layers] += 1
        return new

    def _wants(self, arch: Architecture) -> bool:
        depths = self.band.depths
        return not depths or (arch.layers in depths and self.deep[arch.layers] < self.each)

    def _fits(self, size: float) -> bool:
        return abs(size / self.band.size - 1) <= TOLERANCE


def _in_turn(lists: list[list[Job]]) -> Iterator[Job]:
    """The first of each list, then the second of each."""
    return (job for job in chain.from_iterable(zip_longest(*lists)) if job is not None)
