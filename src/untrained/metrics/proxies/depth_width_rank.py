from __future__ import annotations

from untrained.core.metric import Parts, proxy
from untrained.metrics._rank_terms import size_and_rank
from untrained.nn.probe import Probe


@proxy()
def depth_width_rank(probe: Probe) -> Parts:
    """How deep and wide a transformer is, and at what effective rank its words come in.

    Formula: ln L + ln d + ln er + 0.3 ln N; L layers, d width, N parameters without the embedding;
        er = exp(entropy of the eigenvalues of C / tr C), C = sum_k p_k P_k' P_k the covariance of an
        embedded word: p_k the share of the text that falls on table k by Zipf's law,
        (ln c_k - ln c_(k-1)) / (ln V + 0.5772) with p_0 taking ln c_0 + 0.5772, c_k the words up to and with
        table k; P_k its projection with entries N(0, 1/e_k), in the limit of many channels, so that no
        number is drawn; C = I without projections
    Shapes:  none: it reads the shape, no weight and no text; part `embedding_rank` (er). The shape is that of
        the whole network, also at probe scale, where the score is the same as at paper scale
    Cost:    no forward; less than 1 ms once the network is there
    Source:  ours; spectrum: Silverstein and Bai 1995, Journal of Multivariate Analysis 54
    Worth:   Kendall tau with the perplexity of 100 decoders, and share of the pairs of one size (N within
        5 %) ordered rightly: LiteTransformerSearch GPT-2 on WikiText-103 0.905 and 0.83, N alone 0.853 and
        0.61; Transformer-XL 0.916 and 0.82, N 0.858 and 0.52. Where the embedding never varies (the Pareto
        sets of the same study) it does not beat N, nor depth before width among 300 BERT-like encoders:
        0.68 of the pairs of one size (N 0.64). Nothing was gained by Zipf exponents from 0.8 to 1.2, a
        Zipf-Mandelbrot law, the participation ratio in place of the entropy, a rank for the output beside
        that of the input, or N^(1/3); vocabulary shares as masses fail on a word-level vocabulary (tau
        0.74). Recurrent networks do not say their stream: in a space of cells depth, width and table are
        the same for all, and only N would be left. On our own networks of one size, made afterwards
        (bench_decoder and bench_encoder): tau inside bands 0.21 [0.04, 0.36] and 0.40 [0.13, 0.59], where all
        parameters have 0.48 and those of attention 0.46 (docs/verdict.md)
    """
    value, parts = size_and_rank(probe)
    return Parts(value, parts)
