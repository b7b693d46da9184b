"""Five hundred BERT-like encoders: which of them did well on GLUE."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from untrained.benchmarks._bert_networks import GLUE, TASKS, Trained, read_networks, scored
from untrained.benchmarks._bert_results import COLUMNS, FEED, WIDTH, Result, read_results
from untrained.benchmarks._data import folder as data_folder
from untrained.core.architecture import Architecture
from untrained.core.benchmark import Benchmark, File, Row, Table, Target, benchmark
from untrained.core.errors import InvalidArchitecture, UnknownName, UsageError
from untrained.core.recipe import Recipe
from untrained.core.space import Space

NETWORKS, RESULTS = "BERT_benchmark.json", "BERT_results_activation.csv"
# Readings of a recipe
FEED_FORWARD, OPERATION, WIDTHS = ("declared", "trained"), ("declared", "attention"), ("declared", "scored")
PLACE = (
    "https://raw.githubusercontent.com/aaronserianni/training-free-nas/"
    "2d76e01b9586cad7340e8268dadba3056efd070b/data/"
)


@runtime_checkable
class ReadsEncoders(Protocol):
    """A space that knows how this benchmark writes an encoder."""

    def from_recipe(
        self, recipe: Any, *, feed_forward: str = "declared", operation: str = "declared"
    ) -> Architecture:
        """The encoder of a published recipe; raises InvalidArchitecture."""


@benchmark
class NasBenchBert(Benchmark):
    """Encoders of the FlexiBERT space, pre-trained as ELECTRA and fine-tuned on the tasks of GLUE.

    One row a network, joined by its number with the metric values that the study published for it; then one
    row, without architecture, for each further line of that table. `glue` is the plain mean of the eight
    tasks. Equal networks have equal architectures, and so equal ids.

    Three things about the published numbers, each visible in the released code and data:
    - Every published metric value is that of a network of hidden size 256 with feed-forward layers of 1,024,
      whatever the recipe says. `params` is among them. `width="scored"` reads recipes so, which is what our
      scores are to be compared with the published ones on; it is not what was trained, so not for `glue`.
    - The first feed-forward layer that was trained has 4 x hidden units, whatever the recipe says; its
      width is that of the further layers only. `feed_forward="trained"` reads recipes so; the default,
      "declared", reads what they say.
    - The trainer chooses the operation by comparing strings with `is`, which is false for strings that come
      from a file. So all networks were very probably trained with plain attention; this is an inference.
      `operation="attention"` reads recipes so. Do not judge by this table what an operation is worth.

    What the published metrics hold was found by writing the authors' formulas a second time
    (`perf/published_agreement.py --benchmark nas_bench_bert --text FILE --limit 60 --authors 8`). On 8
    sequences of WikiText-2 these give the published parameters exactly and order 60 networks as published:
    rho 0.93 or more for all but what is named here. How far our proxies agree stands on their cards.
    - Synaptic saliency (0.61, normalized 0.71) and the Jacobian columns (0.86, 0.78), because of rounding:
      of networks with a transform 0.96 and 0.98, and 0.83 and 0.94.
    - The gradients behind synaptic diversity and saliency, head importance and both Jacobian columns are
      those of a sum behind a LayerNorm, which is constant: they are rounding, and in double precision some
      400 million times smaller.
    - `activation_distance` counts every activation as often as its hook had been set, and that was set once
      more for each layer of each network scored before: 30 times in network 0, up to 1,136 times in others.
      Only `activation_distance_normalized` speaks of the network.

    The recipe is that of the pre-training: 100,000 steps (not epochs) on OpenWebText, 10,000 of them
    warm-up, linear decay. Fine-tuning: batch 32, learning rate 1e-4, 3 epochs (10 for rte and sts), once.

    Source:  Serianni & Kalita 2023, ACL (networks, scores, metric values); space of Tuli et al. 2022,
             arXiv:2205.11656
    Licence: CC BY 4.0
    Rows:    500, 491 of them distinct
    Bytes:   about 600 thousand in two files
    """

    space: ClassVar[str] = "bert_encoder"
    targets: ClassVar[tuple[Target, ...]] = tuple(
        Target(name, "points", "higher", gap=0.5) for name in (GLUE, *TASKS)
    )
    files: ClassVar[tuple[File, ...]] = (
        File(
            NETWORKS,
            PLACE + NETWORKS,
            None,
            "fa2ff7198dcd71e0b8021ed2ace1c221672c33cc56931b6dff31fda3d044784f",
            "CC BY 4.0",
        ),
        File(
            RESULTS,
            PLACE + RESULTS,
            None,
            "95fb60a0e702102d6b09a60d13745068270aa28183b7cc8dacb79d5ec6a4b36d",
            "CC BY 4.0",
        ),
    )
    recipe: ClassVar[Recipe] = Recipe(
        "OpenWebText", epochs=1, batch=128, length=128, optimizer="AdamW", peak_lr=5e-4, weight_decay=0.01
    )
    published_names: ClassVar[tuple[str, ...]] = tuple(COLUMNS.values())
    readings: ClassVar[Mapping[str, str]] = {"as_trained": "operation=attention,feed_forward=trained"}

    def __init__(
        self, *, feed_forward: str = "declared", operation: str = "declared", width: str = "declared"
    ) -> None:
        """How recipes are read: see the class."""
        more = f"untrained show {self.name}"
        if feed_forward not in FEED_FORWARD:
            raise UnknownName("reading of the feed-forward part", feed_forward, FEED_FORWARD, more)
        if operation not in OPERATION:
            raise UnknownName("reading of the operations", operation, OPERATION, more)
        if width not in WIDTHS:
            raise UnknownName("reading of the widths", width, WIDTHS, more)
        self.feed_forward, self.operation, self.width = feed_forward, operation, width

    def read(self, folder: Path, space: Space) -> Table:
        """All rows; a file that is missing and a record that is broken are named in `skipped`."""
        if not isinstance(space, ReadsEncoders):
            raise UsageError(
                f"{self.name} needs a space with from_recipe, like bert_encoder; {space.name!r} has none"
            )
        here = data_folder(type(self), folder)
        networks, results, skipped = self._files(here)
        rows: dict[str, Row] = {}
        for network in networks:
            recipe = scored(network.recipe, WIDTH, FEED) if self.width == "scored" else network.recipe
            try:
                encoder = space.from_recipe(recipe, feed_forward=self.feed_forward, operation=self.operation)
            except InvalidArchitecture as error:
                said = str(error).partition("\n")[0]
                skipped.append(f"{NETWORKS}: network {network.id}: {said}")
                continue
            if network.failure:
                skipped.append(f"{NETWORKS}: network {network.id}: {network.failure}")
            rows[str(network.id)] = _row(network, encoder, results.get(network.id))
        bare = [_published(n, result) for n, result in results.items() if str(n) not in rows]
        return Table((*rows.values(), *bare), tuple(skipped))

    def _files(self, here: Path) -> tuple[list[Trained], dict[int, Result], list[str]]:
        """What the two files say; either may be missing, not both."""
        networks: list[Trained] = []
        results: dict[int, Result] = {}
        skipped: list[str] = []
        get = f"download: untrained data get {self.name}"
        if path := self.find(here, NETWORKS):
            networks, skipped = read_networks(path, self.name)
        else:
            skipped.append(f"{NETWORKS} is not in {here}: no architectures, published values only; {get}")
        if path := self.find(here, RESULTS):
            results, wrong = read_results(path, self.name)
            skipped += wrong
        else:
            skipped.append(f"{RESULTS} is not in {here}: no published values; {get}")
        return networks, results, skipped


def _row(network: Trained, encoder: Architecture, result: Result | None) -> Row:
    """A network with what the table says of it; its own scores come before those of the table."""
    truth = {} if result is None else _glue(result)
    published = result.published if result else {}
    return Row(str(network.id), {**truth, **network.truth}, encoder, published, network.seconds)


def _published(number: int, result: Result) -> Row:
    return Row(str(number), _glue(result), None, result.published)


def _glue(result: Result) -> dict[str, float]:
    return {} if result.glue is None else {GLUE: result.glue}
