"""Our networks as records that JSON can hold, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from torch import nn

from untrained.core.architecture import frozen
from untrained.nn.decoder import Decoder
from untrained.nn.recurrent import GraphLayer, RecurrentLM
from untrained.nn.transformer import LayerShape, Transformer, TransformerShape

RESUMED = ("softmax", "window")  # mixers whose keys and values can be kept


def described(network: nn.Module) -> dict[str, Any] | None:
    """What `built` builds again; None for a network that is not one of ours."""
    if isinstance(network, RecurrentLM):
        layers = [layer for layer in network.layers if isinstance(layer, GraphLayer)]
        if len(layers) < len(network.layers) or network.bias is None:
            return None
        first = layers[0]
        return {
            "kind": "rnn",
            "nodes": [[op, list(inputs)] for op, inputs in first.nodes],
            "states": list(first.new),
            "hidden": [layer.hidden for layer in layers],
            "embedding": int(network.embedding.shape[1]),
            "vocabulary": network.vocabulary,
        }
    if isinstance(network, Transformer):
        shape = asdict(network.shape)
        del shape["full"]  # what a small network stands for is of no use to who has the small one
        if isinstance(network, Decoder):
            more = {"relative": network.relative, "adaptive": network.clusters, "own": network.own}
            return {"kind": "decoder", **_listed(shape | more)}
        return {"kind": "encoder" if not network.shape.causal else "decoder", **_listed(shape)}
    return None


def built(record: Mapping[str, Any]) -> nn.Module:
    """The network of a record, its weights from torch's global generator; raises ValueError for another."""
    kind, rest = record.get("kind"), {k: v for k, v in record.items() if k != "kind"}
    try:
        if kind == "rnn":
            return _recurrent(rest)
        if kind in ("decoder", "encoder"):
            return _transformer(rest, decoder=kind == "decoder")
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"this description of a {kind} cannot be read: {type(error).__name__}: {error}"
        ) from None
    raise ValueError(f"no kind of network is called {kind!r}; there are: decoder, encoder, rnn")


def resumable(network: Transformer) -> bool:
    """Whether the network can go on from the keys and values of earlier tokens."""
    return all(layer.mixer in RESUMED for layer in network.shape.layers)


def _recurrent(record: dict[str, Any]) -> RecurrentLM:
    nodes = [(op, tuple(inputs)) for op, inputs in record["nodes"]]
    widths = zip((record["embedding"], *record["hidden"]), record["hidden"], strict=False)
    layers = [GraphLayer(nodes, record["states"], inputs, hidden) for inputs, hidden in widths]
    return RecurrentLM(layers, vocabulary=record["vocabulary"], embedding=record["embedding"])


def _transformer(record: dict[str, Any], *, decoder: bool) -> Transformer:
    more = {name: frozen(record.pop(name)) for name in ("relative", "adaptive", "own") if name in record}
    layers = tuple(LayerShape(**{k: frozen(v) for k, v in layer.items()}) for layer in record["layers"])
    shape = TransformerShape(**{k: frozen(v) for k, v in record.items() if k != "layers"}, layers=layers)
    return Decoder(shape, **more) if decoder else Transformer(shape)


def _listed(value: Any) -> Any:
    """The same tree with lists for tuples, as JSON gives it back."""
    if isinstance(value, dict):
        return {k: _listed(v) for k, v in value.items()}
    return [_listed(v) for v in value] if isinstance(value, list | tuple) else value
