"""`nn.TransformerEncoder` with an embedding in front, ready to be probed."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from untrained.core.errors import MissingRole, UsageError
from untrained.nn.adapters._parts import Parts
from untrained.nn.stream import Stream, WordTable
from untrained.nn.taps import Tape


class EncoderLM(nn.Module):
    """A torch encoder, run layer by layer with its own weights.

    What is not the module's own: a token table, N(0, 1), and sinusoidal positions (Vaswani et al. 2017)
    added to it, without which the order of words would be invisible. No mask: every position sees all.
    """

    roles = ("attention", "mix", "preactivation", "ffn", "block")
    table: Tensor

    def __init__(
        self, source: nn.TransformerEncoder, *, vocabulary: int, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        layers = list(source.layers)
        if odd := next((x for x in layers if type(x) is not nn.TransformerEncoderLayer), None):
            raise UsageError(
                f"nn.TransformerEncoder with layers of the kind {type(odd).__name__}: only torch's own"
                " nn.TransformerEncoderLayer has taps; write an adapter, see untrained.nn.taps"
            )
        self.source, self.vocabulary = source, vocabulary
        first = next(source.parameters())
        self.width = int(layers[0].linear1.in_features)
        table = torch.randn(vocabulary, self.width, generator=generator)
        self.register_buffer("table", table.to(first))  # ours, so it does not count as the module's

    @property
    def blocks(self) -> list[Parts]:
        """Attention and feed-forward part of each layer."""
        named = [dict(layer.named_children()) for layer in self.source.layers]
        return [Parts(n["self_attn"], nn.ModuleList([n["linear1"], n["linear2"]])) for n in named]

    def embed(self, tokens: Tensor) -> Tensor:
        """(B, T) -> (B, T, D)"""
        return nn.functional.embedding(tokens, self.table)

    def encode(self, embedded: Tensor, tape: Tape | None = None) -> Tensor:
        """(B, T, D) -> (B, T, D)"""
        tape = tape if tape is not None else Tape()
        x = embedded + sinusoids(embedded.shape[1], self.width).to(embedded)
        for i, layer in enumerate(self.source.layers):
            x = _layer(layer, x, tape, i)
        return x if self.source.norm is None else self.source.norm(x)

    def decode(self, features: Tensor) -> Tensor:
        raise MissingRole("logits", "nn.TransformerEncoder", self.roles)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) -> top states (B, T, D)"""
        return self.encode(self.embed(tokens))

    def stream(self) -> Stream:
        table = WordTable(self.vocabulary, self.width)
        return Stream(len(self.source.layers), self.width, (table,), projected=False)

    def embedding_parameters(self) -> list[nn.Parameter]:
        """None: the table is not the module's own."""
        return []

    def saliency_weights(self) -> list[nn.Parameter]:
        """The matrices of the layers."""
        return [w for w in self.source.layers.parameters() if w.dim() == 2]

    def mixer_weights(self) -> list[nn.Parameter]:
        """The matrices of attention."""
        return [w for mixer, _ in self.blocks for w in mixer.parameters() if w.dim() == 2]


def _layer(layer: nn.Module, x: Tensor, tape: Tape, index: int) -> Tensor:
    """What nn.TransformerEncoderLayer computes in evaluation mode; its own forward hides what is inside."""
    part: dict[str, nn.Module] = dict(layer.named_children())
    first: bool = layer.norm_first  # type: ignore[assignment]
    mixed = _attend(part["self_attn"], part["norm1"](x) if first else x, tape, index)
    tape.add("mix", index, mixed)
    x = x + mixed if first else part["norm1"](x + mixed)
    before = part["linear1"](part["norm2"](x) if first else x)
    after: Tensor = layer.activation(before)  # type: ignore[operator]
    tape.add("preactivation", index, before)
    tape.add("ffn", index, after)
    fed = part["linear2"](after)
    x = x + fed if first else part["norm2"](x + fed)
    tape.add("block", index, x)
    return x


def _attend(module: nn.Module, x: Tensor, tape: Tape, index: int) -> Tensor:
    """(B, T, D) -> (B, T, D)"""
    heads: int = module.num_heads  # type: ignore[assignment]
    joint = nn.functional.linear(x, module.in_proj_weight, module.in_proj_bias)  # type: ignore[arg-type]
    q, k, v = (t.view(*x.shape[:2], heads, -1).transpose(1, 2) for t in joint.chunk(3, -1))
    weights = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]), -1)
    tape.add("attention", index, weights)
    out: Tensor = module.out_proj((weights @ v).transpose(1, 2).flatten(2))  # type: ignore[operator]
    return out


def sinusoids(length: int, width: int) -> Tensor:
    """(T, D): sine in the even channels and cosine in the odd ones, wavelengths 2 pi to 10,000 * 2 pi."""
    angle = torch.arange(length)[:, None] * 10_000 ** (-torch.arange(0, width, 2) / width)
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)[:, :width]
