"""LiteTransformerSearch: Transformer-XL decoders trained on LM1B."""

from __future__ import annotations

from typing import ClassVar, Literal

from untrained.benchmarks._lts import Lts, file
from untrained.core.benchmark import File, benchmark
from untrained.core.recipe import Recipe


@benchmark
class LtsTransformerXlLm1b(Lts):
    """LiteTransformerSearch: random Transformer-XL decoders trained on the One Billion Word Benchmark.

    Heads and feed-forward width of their own in each layer; perplexity per token after training. Pairs whose
    log-perplexities are more than 0.01 apart count. The authors keep a folder of YAML files; this reads a
    CSV file with one line a network: n_layer, d_model, d_embed, n_head, d_inner, div_val, n_token, cutoffs,
    tgt_len, one or more of valid_ppl, test_ppl and ppl, and, where known, name, d_head and five parameter
    columns, which are checked against the shape. The rows say how long a sequence was, and no more of the
    recipe; 0 there stands for what is not said.

    Source:  Javaheripi et al. 2022, arXiv:2203.02094; github.com/microsoft/archai,
             `random_TransXL_lm1b`
    Licence: MIT
    Rows:    183
    Bytes:   about 60 thousand as one CSV file
    """

    model: ClassVar[Literal["gpt2", "transformer_xl"]] = "transformer_xl"
    corpus: ClassVar[Literal["wt103", "lm1b"]] = "lm1b"
    files: ClassVar[tuple[File, ...]] = (file("random_TransXL_lm1b"),)
    recipe: ClassVar[Recipe] = Recipe("LM1B", length=32)
