"""Sub-networks of a pretrained decoder: fewer layers, and in each layer fewer heads and a narrower MLP."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from itertools import product
from math import comb
from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from untrained.core import text as texts
from untrained.core.architecture import Architecture
from untrained.core.errors import InvalidArchitecture, UnknownName, UsageError
from untrained.core.space import TRIES, Choice, Shape, Space, space
from untrained.nn.pretrained.families import Geometry, geometry_of
from untrained.spaces._subnet_draws import Draws
from untrained.spaces._subnet_widths import Widths

if TYPE_CHECKING:
    import torch

    from untrained.nn.pretrained.parent import Parent
    from untrained.nn.pretrained.statistics import Statistics
    from untrained.nn.pretrained.subnet import Origin, Subnet

GROUPS = ("all", "whole")
TOY = SimpleNamespace(  # what there is to try where no parent is named
    model_type="llama",
    hidden_size=64,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=16,
    intermediate_size=160,
    vocab_size=512,
    max_position_embeddings=128,
    tie_word_embeddings=True,
)


@space
class LlmSubnet(Space):
    """Sub-networks of a pretrained decoder: fewer layers, and in each layer fewer heads and a narrower MLP.

    The parent is a model directory of the family Llama, Mistral, Qwen2, Qwen3, GPT-2 or GPT-NeoX, with its
    weights in safetensors. A sub-network keeps weights of the parent and is a Hugging Face model of its own.
    Which heads and channels stay is not searched: the most important ones do, by the sum of |W_ij| norm(x_j)
    over the matrix that leads them back into the stream, x being what enters it on a calibration text. Query
    heads that share a key/value head are kept in equal number in each group (`groups=all`), or go with their
    key/value head, group by group (`groups=whole`, and always where heads share nothing). Without a parent
    there is a tiny Llama with random weights, to try things.

    Every architecture of the space has between `low` and `high` parameters (tables and head included), so
    that each draw, mutation and crossover stays within the budget. Scales are one: nothing is made smaller.

    Value:   `heads` and `inner` (channels of the MLP) by layer of the parent, 0 in both where the layer is
             dropped; `parent` and `ranked_on` are hashes of the parent and of the calibration tokens
    Source:  Malettira et al. 2026, arXiv:2602.02891 (TraceNAS); ranking after Sun et al. 2023,
             arXiv:2306.11695 (Wanda)
    Differs: all layers may be dropped alike down to `shortest`; widths go in steps of `align` from
             `narrowest` up; children are brought back into the window by small steps instead of being
             discarded
    """

    def __init__(
        self,
        *,
        parent: str = "",
        text: str = "",
        low: float = 0.0,
        high: float = 1.0,
        align: int = 8,
        shortest: float = 0.5,
        narrowest: float = 0.25,
        groups: str = "all",
        sequences: int = 16,
        length: int = 128,
    ) -> None:
        """`low` and `high` bound the parameters, as shares of the parent's up to 1 and as numbers above.

        `shortest` is the least share of the layers, `narrowest` the least share of a layer's heads and
        channels. `text` is what heads and channels are ranked on, `sequences` of `length` tokens of it;
        without one it is what Python ships.
        """
        if groups not in GROUPS:
            raise UnknownName("way to keep groups", groups, GROUPS, more="untrained show llm_subnet")
        for name, share in (("shortest", shortest), ("narrowest", narrowest)):
            if not 0 < share <= 1:
                raise UsageError(f"llm_subnet: {name}={share}; take a share above 0, and 1 at most")
        for name, number in (("align", align), ("sequences", sequences), ("length", length)):
            if number < 1:
                raise UsageError(f"llm_subnet: {name}={number}; take 1 or more")
        self.path, self.text, self.groups = parent, text, groups
        self.align, self.shortest, self.narrowest = align, shortest, narrowest
        self.sequences, self.length = sequences, length
        self.corpus: texts.Corpus | None = None
        """the calibration text where it is not in a file of its own"""
        g = self.geometry
        self.widths = Widths(g, align=align, narrowest=narrowest, shortest=shortest, whole=self.whole_groups)
        self.low, self.high = (round(b * g.params) if b <= 1 else round(b) for b in (low, high))
        self.draws = Draws(self.widths, self.low, self.high)

    # --- the parent --------------------------------------------------------------------------------

    @property
    def parent(self) -> Parent:
        from untrained.nn.pretrained.parent import parent_at

        return parent_at(self.path) if self.path else _toy()

    @cached_property
    def geometry(self) -> Geometry:
        return self.parent.geometry if self.path else geometry_of(TOY)

    @property
    def whole_groups(self) -> bool:
        return self.groups == "whole" or not self.geometry.shared

    def ids(self, text: str) -> Sequence[int] | None:
        """The tokens of a text, by the parent's tokenizer; of the toy, which has none, None."""
        return self.parent.reader.ids(text) if self.path else None

    @cached_property
    def calibration(self) -> torch.Tensor:
        """The tokens on which heads and channels are ranked, (B, T)."""
        from untrained.nn import batch

        corpus = self.corpus or texts.load(self.text or None)
        shape = self.shape("paper")
        if (ids := self.ids(corpus.text)) is None:
            words = {"vocabulary": shape.vocabulary, "sequences": shape.sequences, "length": shape.length}
            return batch.from_text(corpus, **words).tokens
        made = batch.from_ids(ids, sequences=shape.sequences, length=shape.length, source=corpus.name)
        return made.tokens

    @cached_property
    def statistics(self) -> Statistics:
        """Of the parent on the calibration tokens."""
        return self.parent.statistics(self.calibration)

    @cached_property
    def _marks(self) -> tuple[str, str]:
        """Hashes of the parent and of the calibration tokens."""
        if not self.path:
            return "toy", "toy"
        import hashlib

        raw = self.calibration.numpy().tobytes()
        return self.parent.id, hashlib.sha256(raw).hexdigest()[:16]

    # --- what there is -----------------------------------------------------------------------------

    def declared(self) -> dict[str, Choice]:  # type: ignore[override]
        """The decisions: every layer has its heads and its channels, or 0 of both."""
        parent, ranked_on = self._marks
        return {
            "parent": Choice((parent,)),
            "ranked_on": Choice((ranked_on,)),
            "layers": Choice((self.geometry.layers,)),
            "heads": Choice((0, *self.widths.heads), per="layers"),
            "inner": Choice((0, *self.widths.inner), per="layers"),
        }

    def valid(self, arch: Architecture) -> bool:
        """Whether heads and channels go together, layers are enough, and the parameters are in the window."""
        return self._problem(arch) is None

    def validate(self, arch: Architecture) -> None:
        """Raises InvalidArchitecture with what is wrong; the window is said with it."""
        given = dict(arch.choices)
        for name, own, what in zip(
            ("parent", "ranked_on"), self._marks, ("another parent", "another calibration text"), strict=True
        ):
            if name in given and given[name] != own:
                raise InvalidArchitecture(
                    f"{self.name}: this is a sub-network of {what} ({given[name]}; here {own})"
                )
        super().validate(arch) if self._problem(arch) is None else self._refuse(arch)

    def _refuse(self, arch: Architecture) -> None:
        try:
            super().validate(arch)
        except InvalidArchitecture as error:
            if "do not go together" not in str(error):
                raise
        raise InvalidArchitecture(f"{self.name}: {self._problem(arch)}")

    def _problem(self, arch: Architecture) -> str | None:
        given = dict(arch.choices)
        heads, inner = given.get("heads"), given.get("inner")
        if not isinstance(heads, tuple) or not isinstance(inner, tuple) or len(heads) != len(inner):
            return "heads and inner are lists with one number for each layer of the parent"
        if len(heads) != self.geometry.layers or {*heads, *inner} - {
            0,
            *self.widths.heads,
            *self.widths.inner,
        }:
            return "heads and inner have other numbers than this space"
        if any((h == 0) != (i == 0) for h, i in zip(heads, inner, strict=True)):
            return "a layer without heads has no channels either: it is dropped as a whole"
        if sum(h > 0 for h in heads) < self.widths.fewest:
            return f"it keeps {sum(h > 0 for h in heads)} layers, and {self.widths.fewest} are the least"
        size = self.widths.params(heads, inner)
        if not self.low <= size <= self.high:
            return f"it has {size:,} parameters, outside {self.low:,} to {self.high:,}"
        return None

    def size(self) -> int | None:
        """How many there are within the bounds of depth and width, the window left aside."""
        each, depth = len(self.widths.heads) * len(self.widths.inner), self.geometry.layers
        return int(sum(comb(depth, k) * each**k for k in range(self.widths.fewest, depth + 1)))

    def everything(self) -> Iterator[Architecture]:
        """Every architecture in the window, each once, in a fixed order."""
        layer = [(0, 0), *product(self.widths.heads, self.widths.inner)]
        for layers in product(layer, repeat=self.geometry.layers):
            arch = self._made([h for h, _ in layers], [i for _, i in layers])
            if self.valid(arch):
                yield arch

    # --- luck --------------------------------------------------------------------------------------

    def sample(self, rng: Random) -> Architecture:
        """Some layers dropped, widths around what the window leaves, then brought into the window."""
        return self._drawn(lambda: self.draws.sample(rng))

    def mutate(self, arch: Architecture, rng: Random) -> Architecture:
        """One layer's heads or channels changed, or a layer dropped for another; then fitted again."""
        for _ in range(TRIES):
            found = self.draws.mutate([*arch.heads], [*arch.inner], rng)
            if found is not None and (made := self._made(*found)) != arch and self.valid(made):
                return made
        return arch

    def crossover(self, a: Architecture, b: Architecture, rng: Random) -> Architecture:
        """Layers up to a point from one parent and from there on from the other; then fitted again."""
        for _ in range(TRIES):
            found = self.draws.crossover(([*a.heads], [*a.inner]), ([*b.heads], [*b.inner]), rng)
            if found is not None and self.valid(made := self._made(*found)):
                return made
        return a

    def neighbours(self, arch: Architecture) -> Iterator[Architecture]:
        """Every one in the window that has one layer's heads or channels one step up or down.

        Or one such step in one layer and the opposite step in the next layer that is kept.
        """
        for heads, inner in self.draws.steps([*arch.heads], [*arch.inner]):
            made = self._made(heads, inner)
            if self.valid(made):
                yield made

    def uniform(self) -> Architecture:
        """All layers, every one with the same heads and channels, as large as the window lets it be."""
        found = self.draws.uniform()
        return self._made(*found)

    def _drawn(self, draw: Any) -> Architecture:
        for _ in range(TRIES):
            found = draw()
            if found is not None and self.valid(made := self._made(*found)):
                return made
        raise InvalidArchitecture(
            f"{self.name}: no sub-network of {self.low:,} to {self.high:,} parameters in {TRIES} draws.\n"
            "  widen the window: low=..., high=..., or take a smaller align"
        )

    def _made(self, heads: Sequence[int], inner: Sequence[int]) -> Architecture:
        parent, ranked_on = self._marks
        return Architecture.of(
            self.name,
            parent=parent,
            ranked_on=ranked_on,
            layers=self.geometry.layers,
            heads=tuple(heads),
            inner=tuple(inner),
        )

    # --- other forms -------------------------------------------------------------------------------

    def encode(self, arch: Architecture) -> list[float]:
        """Shares of the parent's heads and channels by layer; 0 where a layer is dropped."""
        g = self.geometry
        return [h / g.heads for h in arch.heads] + [i / g.inner for i in arch.inner]

    def baseline(self, arch: Architecture) -> dict[str, float]:
        """How many layers stay."""
        return {"layers_kept": float(sum(h > 0 for h in arch.heads))}

    def shape(self, scale: str) -> Shape:
        """The calibration batch; no longer than the parent has positions."""
        super().shape(scale)
        g = self.geometry
        return Shape(g.vocabulary, self.sequences, min(self.length, g.positions))

    def count(self, arch: Architecture, *, scale: str = "paper") -> dict[str, int]:
        """Parameters by place, and FLOP per token of a sequence of the calibration length."""
        length = self.shape(scale).length
        return self.widths.costs(arch.heads, arch.inner, length)

    def build(
        self, arch: Architecture, *, scale: str = "paper", generator: torch.Generator | None = None
    ) -> Subnet:
        """The sub-network with the parent's weights, so that `generator` has no say."""
        from untrained.nn.pretrained.subnet import Subnet

        if self.path and self.parent.folder is None:
            raise UsageError(
                f"{self.path} has no weights: its sub-networks can be drawn and counted, not built"
            )
        return Subnet(self.origin(arch))

    def origin(self, arch: Architecture) -> Origin:
        """The parent, and what stays of it."""
        self.validate(arch)
        from untrained.nn.pretrained.ranking import Size
        from untrained.nn.pretrained.subnet import Origin

        sizes = [
            Size(h, self.widths.kv(h), i) if h else None for h, i in zip(arch.heads, arch.inner, strict=True)
        ]
        return Origin(self.parent, self.parent.cut(sizes, self.statistics))


@lru_cache(maxsize=1)
def _toy() -> Parent:
    from untrained.nn.adapters.sources import transformers
    from untrained.nn.pretrained.parent import Parent

    record = {k: v for k, v in vars(TOY).items() if k != "model_type"}
    config = transformers().LlamaConfig(**record, bos_token_id=None, eos_token_id=None)
    return Parent(config)
