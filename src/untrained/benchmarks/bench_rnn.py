"""Our own language models of random cells, in bands of one size, trained through a whole schedule."""

from __future__ import annotations

from typing import ClassVar

from untrained.benchmarks._bench import Bench, file, recipe
from untrained.core.benchmark import File, benchmark
from untrained.core.recipe import Recipe


@benchmark
class BenchRnn(Bench):
    """Our own language models of random cells, in bands of one size, trained through a whole schedule.

    Cells by the generator of NAS-Bench-NLP, in two layers of width 64, and RNN, LSTM and GRU beside them.
    Cells of a band have 4, 5, 6 or 7 matrices, so equally many parameters up to their biases. `loss` is the
    held-out loss at the end, `loss_early` that after a fourth of the tokens. Four networks of each band were
    trained with three seeds. 23 networks diverged with the first seed: they have no truth there, and are
    named. The schedule is 11 passes over a small text, and the order still moves with its length
    (docs/benchmark.md). The option `table` reads a store of `untrained make-benchmark` instead of the table
    in the package.

    Source:  made by us: docs/benchmark.md
    Licence: CC BY 4.0; trained on WikiText-2 (CC BY-SA 3.0), no word of which is in the table
    Rows:    131 trainings of 99 networks
    Bytes:   82,662
    """

    space: ClassVar[str] = "rnn_cell"
    files: ClassVar[tuple[File, ...]] = (
        file("bench_rnn.jsonl", 82_662, "a19de963f0ba9d8a876c7415d928cb4b043c6ac79ed1943af93a7e519f712dcf"),
    )
    recipe: ClassVar[Recipe] = recipe(steps=3_600, batch=32, peak_lr=1.6e-2)
