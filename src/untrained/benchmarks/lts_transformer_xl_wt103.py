"""LiteTransformerSearch: Transformer-XL decoders trained on WikiText-103."""

from __future__ import annotations

from typing import ClassVar, Literal

from untrained.benchmarks._lts import Lts, file
from untrained.core.benchmark import File, benchmark
from untrained.core.recipe import Recipe


@benchmark
class LtsTransformerXlWt103(Lts):
    """LiteTransformerSearch: random Transformer-XL decoders trained on WikiText-103.

    Heads and feed-forward width of their own in each layer; perplexity per token after training. Pairs whose
    log-perplexities are more than 0.01 apart count. The authors keep a folder of YAML files; this reads a
    CSV file with one line a network: n_layer, d_model, d_embed, n_head, d_inner, div_val, n_token, cutoffs,
    tgt_len, one or more of valid_ppl, test_ppl and ppl, and, where known, name, d_head and five parameter
    columns, which are checked against the shape. Trained for 40,000 steps of 256 sequences of 192 words: 19
    times through the text.

    Source:  Javaheripi et al. 2022, arXiv:2203.02094; github.com/microsoft/archai,
             `random_TransXL_wt103`
    Licence: MIT
    Rows:    200
    Bytes:   about 60 thousand as one CSV file
    """

    model: ClassVar[Literal["gpt2", "transformer_xl"]] = "transformer_xl"
    corpus: ClassVar[Literal["wt103", "lm1b"]] = "wt103"
    files: ClassVar[tuple[File, ...]] = (file("random_TransXL_wt103"),)
    recipe: ClassVar[Recipe] = Recipe(
        "WikiText-103", epochs=19, batch=256, length=192, optimizer="JITLamb", peak_lr=0.01
    )
