"""Our own small masked language models, trained through a whole schedule, in bands of one size."""

from __future__ import annotations

from typing import ClassVar

from untrained.benchmarks._bench import Bench, file, recipe
from untrained.core.benchmark import File, benchmark
from untrained.core.recipe import Recipe


@benchmark
class BenchEncoder(Bench):
    """Our own small masked language models, trained through a whole schedule, in bands of one size.

    Encoders of the space `bert_encoder:preset=small`: depth, hidden size, operation, heads and feed-forward
    stack of each layer; the five kinds of operation really train differently, which a test asserts.
    Non-embedding parameters are 128 k or 256 k, at most 2 % apart in a band, so that size tells nothing
    there. `loss` is that of hidden tokens (30 %) of the held-out text at the end, `loss_early` that after a
    fourth of the tokens. Six networks of each band were trained with three seeds. The schedule is 7 passes
    over a small text, and the order still moves with its length (docs/benchmark.md). Seven networks learn
    hardly more than how frequent words are. The option `table` reads a store of `untrained make-benchmark`
    instead of the table in the package.

    Source:  made by us: docs/benchmark.md
    Licence: CC BY 4.0; trained on WikiText-2 (CC BY-SA 3.0), no word of which is in the table
    Rows:    88 trainings of 64 networks
    Bytes:   53,682
    """

    space: ClassVar[str] = "bert_encoder"
    files: ClassVar[tuple[File, ...]] = (
        file(
            "bench_encoder.jsonl", 53_682, "ceeba637a992ed8dfc09c59de5d81afa3ff2dfc5c6b5b66224451859c5a2e0da"
        ),
    )
    recipe: ClassVar[Recipe] = recipe(steps=4_800, batch=16, peak_lr=4e-3)
