"""Our own small decoders, trained through a whole schedule, in bands of one size."""

from __future__ import annotations

from typing import ClassVar

from untrained.benchmarks._bench import Bench, file, recipe
from untrained.core.benchmark import File, benchmark
from untrained.core.recipe import Recipe


@benchmark
class BenchDecoder(Bench):
    """Our own small decoders, trained through a whole schedule, in bands of one size.

    Decoders of the space `gpt_decoder:family=small`: depth, width, heads, key/value heads, feed-forward
    width and mixer of each layer, norm, its place, kind of position, and an embedding whose width knows
    nothing of the network's. Non-embedding parameters are 64 k, 128 k or 256 k, at most 2 % apart in a band,
    so that size tells nothing there. `loss` is the held-out loss at the end, `loss_early` that after a
    fourth of the tokens. Five networks of each band were trained with three seeds. The option `table` reads
    a store of `untrained make-benchmark` instead of the table in the package.

    Source:  made by us: docs/benchmark.md
    Licence: CC BY 4.0; trained on WikiText-2 (CC BY-SA 3.0), no word of which is in the table
    Rows:    126 trainings of 96 networks
    Bytes:   104,206
    """

    space: ClassVar[str] = "gpt_decoder"
    files: ClassVar[tuple[File, ...]] = (
        file(
            "bench_decoder.jsonl", 104_206, "1f38c0e9f16b180e8041ac722a4e4f117f00f9bd46c4fd64c3c3f493660ee77d"
        ),
    )
    recipe: ClassVar[Recipe] = recipe(steps=1_200, batch=16, peak_lr=4e-3)
