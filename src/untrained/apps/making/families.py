"""What each of our benchmarks is: a sample in bands of one size, and a recipe for each band.

`docs/benchmark.md` says why. Nothing here may change once rows have been made: a store remembers its design,
and goes on with the same one only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from untrained.core.architecture import Architecture
from untrained.core.errors import UnknownName
from untrained.core.named import construct
from untrained.core.space import Space

SEEDS = (0, 1, 2)  # of networks that are trained more than once; all others have seed 0
TOLERANCE = 0.01  # a network belongs to a band when its size is at most this far from the band's
OUTSIDE = 999  # seed of the networks on which the learning rates were chosen
TRIES = 200_000  # draws after which a band is given up
VARIANTS = 200  # of a draw, of which one may have the size
VOCABULARY = 2_048  # tokens


@dataclass(frozen=True)
class Text:
    """One file."""

    name: str
    theirs: str
    """its name at the source"""
    sha256: str


TEXTS = (
    Text(
        "wikitext2_valid.txt",
        "valid.txt",
        "f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8",
    ),
    Text(
        "wikitext2_test.txt",
        "test.txt",
        "d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0",
    ),
)


@dataclass(frozen=True)
class Band:
    """Networks of one size."""

    name: str
    size: int
    """non-embedding parameters, give or take `TOLERANCE`"""
    networks: int
    repeated: int
    """of these, so many are trained with all `SEEDS`"""
    depths: tuple[int, ...]
    """how many layers networks have; as many of each depth, give or take"""
    peak_lr: float
    """chosen on networks outside the sample; see docs/benchmark.md"""


@dataclass(frozen=True)
class Family:
    """One benchmark."""

    name: str
    space: str
    """as one types it: where the networks are drawn"""
    scale: str
    """at which they are trained"""
    recipe: str
    """its name; `settings` and the band's peak_lr go into it"""
    settings: Mapping[str, Any]
    bands: tuple[Band, ...]
    seed: int
    """of the sample"""
    fitted: str = ""
    """a choice that is drawn anew, up to `VARIANTS` times, to give a drawn network the size of a band"""
    known: tuple[str, ...] = ()
    """well-known networks that are in it besides, in a band of their own, as `Space.classic` calls them"""
    known_lr: float = 0.0
    texts: tuple[Text, ...] = TEXTS
    """one after the other, what is trained on; the last part is held out"""

    def design(self) -> dict[str, Any]:
        """What a store has to have in common with the family to go on: plain values."""
        return {
            "space": self.space,
            "scale": self.scale,
            "recipe": self.recipe,
            "settings": dict(self.settings),
            "bands": {
                b.name: {
                    "params_nonembedding": b.size,
                    "networks": b.networks,
                    "repeated": b.repeated,
                    "depths": list(b.depths),
                    "peak_lr": b.peak_lr,
                }
                for b in self.bands
            },
            "classics": dict.fromkeys(self.known, self.known_lr),
            "sample_seed": self.seed,
            "fitted": self.fitted,
        }

    def opened(self) -> Space:
        """The space."""
        found: Space = construct("space", self.space)
        return found

    def classics(self) -> list[Architecture]:
        """The well-known networks."""
        space: Any = self.opened()
        return [space.classic(name) for name in self.known]


def _exams(steps: int, number: int) -> dict[str, Any]:
    """So many examinations at even distances, each on the same 512 held-out windows."""
    return {"steps": steps, "eval_every": steps // number, "eval_windows": 512, "log_every": steps // number}


DECODER = Family(
    name="bench_decoder",
    space="gpt_decoder:family=small",
    scale="paper",
    recipe="causal_lm",
    settings={**_exams(1_200, 12), "batch": 16, "length": 64},
    bands=(
        Band("64k", 65_536, networks=32, repeated=5, depths=(1, 2, 3, 4, 6, 8), peak_lr=8e-3),
        Band("128k", 131_072, networks=32, repeated=5, depths=(1, 2, 3, 4, 6, 8), peak_lr=4e-3),
        Band("256k", 262_144, networks=32, repeated=5, depths=(1, 2, 3, 4, 6, 8), peak_lr=4e-3),
    ),
    seed=2026,
    fitted="inner",
)
ENCODER = Family(
    name="bench_encoder",
    space="bert_encoder:preset=small",
    scale=f"paper:vocabulary={VOCABULARY}",
    recipe="masked_lm",
    settings={**_exams(4_800, 12), "batch": 16, "length": 64, "mask": 0.3},
    bands=(
        Band("128k", 131_072, networks=32, repeated=6, depths=(), peak_lr=4e-3),
        Band("256k", 262_144, networks=32, repeated=6, depths=(1, 2, 3, 4, 5, 6), peak_lr=4e-3),
    ),
    seed=2028,
    fitted="inner",
)
RNN = Family(
    name="bench_rnn",
    space="rnn_cell",
    scale=f"paper:vocabulary={VOCABULARY},width=64,layers=2",
    recipe="causal_lm",
    settings={**_exams(3_600, 12), "batch": 32, "length": 64},
    bands=tuple(
        Band(f"{n} matrices", n * 2 * 64 * 64 + 192, networks=24, repeated=4, depths=(), peak_lr=1.6e-2)
        for n in (4, 5, 6, 7)
    ),
    seed=2026,
    known=("rnn", "lstm", "gru"),
    known_lr=1.6e-2,
)
FAMILIES: dict[str, Family] = {f.name: f for f in (DECODER, ENCODER, RNN)}


def family(name: str) -> Family:
    """A benchmark that we make; raises UnknownName."""
    if name not in FAMILIES:
        raise UnknownName("benchmark of our own", name, sorted(FAMILIES), more="untrained list benchmark")
    return FAMILIES[name]
