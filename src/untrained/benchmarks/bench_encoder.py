"""Our own small masked language models, trained to the end, in bands of one size."""

from __future__ import annotations

from typing import ClassVar

from untrained.benchmarks._bench import Bench, file
from untrained.core.benchmark import File, benchmark
from untrained.core.recipe import Recipe


@benchmark
class BenchEncoder(Bench):
    """Our own small masked language models, trained to the end, in bands of one size.

    Encoders of the space `bert_encoder:preset=small`: depth, hidden size, operation, heads and feed-forward
    stack of each layer; the five kinds of operation really train differently, which a test asserts.
    Non-embedding parameters are 128 k or 256 k, at most 2 % apart in a band, so that size tells nothing
    there. `loss` is that of hidden tokens (30 %) of the held-out text at the end, `loss_early` that after a
    fourth of the tokens. Six networks of each band are to be trained with three seeds; until the table is
    whole, a network may have one. The option `table` reads a store of `untrained make-benchmark` instead of
    the table in the package.

    Source:  made by us: docs/benchmark.md
    Licence: CC BY 4.0; trained on WikiText-2 (CC BY-SA 3.0), no word of which is in the table
    Rows:    43 trainings of 43 networks; 88 trainings of 64 are planned
    Bytes:   26,759
    """

    space: ClassVar[str] = "bert_encoder"
    files: ClassVar[tuple[File, ...]] = (
        file(
            "bench_encoder.jsonl", 26_759, "437b7259dec198174406ee8a362ca98c669c7d87658ee1d206b5207cce35d2c1"
        ),
    )
    recipe: ClassVar[Recipe] = Recipe(
        "WikiText-2, validation and test part",
        steps=1_200,
        batch=16,
        length=64,
        optimizer="AdamW",
        peak_lr=4e-3,
        schedule="cosine",
        warmup=0.05,
        weight_decay=0.1,
        beta1=0.9,
        beta2=0.95,
        clip=1.0,
    )
