"""Our networks as Hugging Face models: `from_pretrained`, `generate` and Trainer work, with no remote code.

Stock transformers describes layers of different sizes in its `per_layer_config` but does not build them yet;
`per_layer` and `build` do, for the families of `families.FAMILIES`.
"""

from __future__ import annotations

from untrained.nn.hf.layers import LayerSize, build, per_layer, sizes

__all__ = ["LayerSize", "build", "per_layer", "sizes"]
