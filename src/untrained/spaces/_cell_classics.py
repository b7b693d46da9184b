"""The cells that everyone knows, as recipes."""

from __future__ import annotations

from typing import Any

Recipe = dict[str, dict[str, Any]]
"""name of a node -> {"op": ..., "input": [...]}"""


def node(op: str, *inputs: str) -> dict[str, Any]:
    """One entry of a recipe."""
    return {"op": op, "input": list(inputs)}


CLASSICS: dict[str, Recipe] = {
    # Elman 1990: h = tanh(W x + U h + b)
    "rnn": {
        "f": node("linear", "x", "h_prev_0"),
        "h_new_0": node("activation_tanh", "f"),
    },
    # Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000, no peepholes: state 1 is the
    # memory c = f * c + i * g, the output is h = o * tanh(c); three sigmoid gates, as in torch.nn.LSTM.
    # (The example in the authors' code has a tanh output gate; this one is the standard cell.)
    "lstm": {
        "i": node("linear", "x", "h_prev_0"),
        "i_act": node("activation_sigm", "i"),
        "f": node("linear", "x", "h_prev_0"),
        "f_act": node("activation_sigm", "f"),
        "g": node("linear", "x", "h_prev_0"),
        "g_act": node("activation_tanh", "g"),
        "o": node("linear", "x", "h_prev_0"),
        "o_act": node("activation_sigm", "o"),
        "kept": node("elementwise_prod", "f_act", "h_prev_1"),
        "added": node("elementwise_prod", "i_act", "g_act"),
        "h_new_1": node("elementwise_sum", "kept", "added"),
        "c_act": node("activation_tanh", "h_new_1"),
        "h_new_0": node("elementwise_prod", "o_act", "c_act"),
    },
    # Cho et al. 2014 (arXiv:1406.1078): the reset gate multiplies h before its matrix, so the candidate is
    # n = tanh(W x + U (r h)), and h = z h + (1 - z) n. torch.nn.GRU resets after the matrix, r (U h), which
    # needs a linear node with one input; this space has none.
    "gru": {
        "r": node("linear", "x", "h_prev_0"),
        "r_act": node("activation_sigm", "r"),
        "z": node("linear", "x", "h_prev_0"),
        "z_act": node("activation_sigm", "z"),
        "reset": node("elementwise_prod", "r_act", "h_prev_0"),
        "n": node("linear", "x", "reset"),
        "n_act": node("activation_tanh", "n"),
        "h_new_0": node("blend", "z_act", "h_prev_0", "n_act"),
    },
}
