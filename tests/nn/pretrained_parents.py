"""Tiny parents of every family with random weights, as `save_pretrained` writes them."""

from pathlib import Path

import torch

from untrained.nn import hf
from untrained.nn.adapters.sources import drawn_from, transformers
from untrained.nn.pretrained.families import FAMILIES

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "vocab_size": 300,
    "max_position_embeddings": 64,
    "bos_token_id": None,
    "eos_token_id": None,
}
OWN = {
    "llama": {"num_key_value_heads": 2, "attention_bias": True, "mlp_bias": True},
    "mistral": {"num_key_value_heads": 2, "head_dim": 12, "sliding_window": 16},
    "qwen2": {
        "num_key_value_heads": 4,
        "tie_word_embeddings": True,
        "use_sliding_window": True,
        "sliding_window": 8,
        "max_window_layers": 1,
    },
    "qwen3": {"num_key_value_heads": 2, "head_dim": 16, "attention_bias": False},
    "gpt2": {},
    "gpt_neox": {"rotary_pct": 0.25},
}
KINDS = tuple(FAMILIES)


def settings(kind: str, **more):
    """A configuration."""
    made = transformers().CONFIG_MAPPING[kind]
    given = SIZES | OWN[kind] | more
    if kind == "gpt2":
        given["n_inner"] = given.pop("intermediate_size")
    return made(**given)


def random_model(kind: str, seed: int = 0, **more):
    """Weights large enough that every part of a layer counts; norms and biases random too."""
    generator = torch.Generator().manual_seed(seed)
    with drawn_from(generator):
        model = hf.build(settings(kind, **more))
    with torch.no_grad():
        for name, w in model.named_parameters():
            base = 1.0 if "norm" in name or "ln_" in name else 0.0
            scale = 0.25 if w.dim() == 2 else 0.1
            if w.dim() == 1 and name.endswith("bias"):
                base = 0.0
            w.copy_(base + scale * torch.randn(w.shape, generator=generator))
    return model.eval()


def saved(folder: Path, kind: str, seed: int = 0, **more) -> Path:
    """A model directory."""
    random_model(kind, seed, **more).save_pretrained(folder)
    return folder
