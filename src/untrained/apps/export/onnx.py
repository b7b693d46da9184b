"""Our networks as ONNX with any batch and length, checked in onnxruntime against torch.

Transformers are exported by torch. A recurrent network would be unrolled over its steps there, so it is
written here: one Scan over time a layer, whose body is the cell's graph, op by op.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from untrained.apps.export.fresh import difference
from untrained.apps.probing import generator
from untrained.core.errors import MissingExtra, UntrainedError
from untrained.nn.recurrent import GraphLayer, RecurrentLM

SHAPES = ((2, 12), (3, 31))  # sequences and tokens at which it is checked
OPSET = 18
OPS = {
    "activation_tanh": "Tanh",
    "activation_sigm": "Sigmoid",
    "activation_leaky_relu": "LeakyRelu",  # ONNX's slope is 0.01 as ours
    "elementwise_sum": "Add",
    "elementwise_prod": "Mul",
}


def write_onnx(network: nn.Module, path: Path) -> float:
    """Writes `input_ids` (batch, length) -> `logits` and returns the largest difference over two shapes.

    Raises MissingExtra without the packages, UntrainedError for a network that has no ONNX form or whose
    numbers differ.
    """
    onnx, runtime = _packages()
    if isinstance(network, RecurrentLM):
        onnx.save_model(_recurrent(network, onnx), path, **_apart(network, path))
    else:
        _traced(network, path)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    for shape in SHAPES:
        tokens = torch.randint(int(network.vocabulary), shape, generator=generator(2))  # type: ignore[arg-type]
        (found,) = session.run(["logits"], {"input_ids": tokens.numpy()})
        with torch.inference_mode():
            worst = max(worst, difference(torch.from_numpy(found), network(tokens), "the ONNX file"))
    return worst


def _packages() -> tuple[Any, Any]:
    try:
        import_module("onnxscript")
        return import_module("onnx"), import_module("onnxruntime")
    except ImportError as error:
        raise MissingExtra("--onnx", error.name or "onnx", "onnx") from None


def _apart(network: nn.Module, path: Path) -> dict[str, Any]:
    """Weights go into a file of their own where one of 2 GiB would not do."""
    if sum(w.numel() * w.element_size() for w in network.parameters()) < 2**30:
        return {}
    return {"save_as_external_data": True, "location": f"{path.name}.data"}


# --- transformers --------------------------------------------------------------------------------------


def _traced(network: nn.Module, path: Path) -> None:
    """By torch.export, with batch and length as dimensions that are free."""
    batch, length = torch.export.Dim("batch", min=1), torch.export.Dim.DYNAMIC
    tokens = torch.zeros(2, 12, dtype=torch.long)
    with _silent():
        try:
            torch.onnx.export(
                network,
                (tokens,),
                path,
                input_names=["input_ids"],
                output_names=["logits"],
                dynamic_shapes=({0: batch, 1: length},),
                dynamo=True,
                opset_version=OPSET,
                external_data=bool(_apart(network, path)),
                verbose=False,
            )
        except OSError:
            raise
        except Exception as error:
            said = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise UntrainedError(
                f"this network has no ONNX form: {said[:200]}\n  export it without --onnx"
            ) from error


@contextmanager
def _silent() -> Iterator[None]:
    """Without the advice that the exporter gives to its authors."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


# --- recurrent networks --------------------------------------------------------------------------------


def _recurrent(network: RecurrentLM, onnx: Any) -> Any:
    """The whole model: embedding, one Scan a layer, tied decoder."""
    h, kinds = onnx.helper, onnx.TensorProto
    assert network.bias is not None
    held = {"embedding": network.embedding, "bias": network.bias}
    nodes = [
        h.make_node("Gather", ["embedding", "input_ids"], ["words"]),
        h.make_node("Transpose", ["words"], ["steps_0"], perm=[1, 0, 2]),
        h.make_node("Shape", ["input_ids"], ["batch"], start=0, end=1),
    ]
    for place, layer in enumerate(network.layers):
        assert isinstance(layer, GraphLayer)
        more, weights = _layer(layer, place, onnx)
        nodes, held = nodes + more, held | weights
    last = f"steps_{len(network.layers)}"
    nodes += [
        h.make_node("Transpose", [last], ["top"], perm=[1, 0, 2]),
        h.make_node("Transpose", ["embedding"], ["turned"], perm=[1, 0]),
        h.make_node("MatMul", ["top", "turned"], ["unbiased"]),
        h.make_node("Add", ["unbiased", "bias"], ["logits"]),
    ]
    tokens = h.make_tensor_value_info("input_ids", kinds.INT64, ["batch", "length"])
    logits = h.make_tensor_value_info("logits", kinds.FLOAT, ["batch", "length", network.vocabulary])
    graph = h.make_graph(nodes, "untrained_rnn", [tokens], [logits], _tensors(held, onnx))
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", OPSET)], producer_name="untrained")
    model.ir_version = 9  # as old as the opset, so that old runtimes read it
    return model


def _layer(layer: GraphLayer, place: int, onnx: Any) -> tuple[list[Any], dict[str, Tensor]]:
    """(T, batch, inputs) -> (T, batch, hidden) as a Scan from states that are zero."""
    h, kinds = onnx.helper, onnx.TensorProto
    states = [f"state_{k}" for k in range(len(layer.new))]
    body, held = _cell(layer, place, onnx)
    ends = [f"node_{i}" for i in layer.new]
    body += [h.make_node("Identity", [end], [f"next_{k}"]) for k, end in enumerate(ends)]
    body += [h.make_node("Identity", [ends[0]], ["out"])]
    value = [h.make_tensor_value_info(name, kinds.FLOAT, None) for name in [*states, "x"]]
    given = [h.make_tensor_value_info(f"next_{k}", kinds.FLOAT, None) for k in range(len(states))]
    given.append(h.make_tensor_value_info("out", kinds.FLOAT, None))
    graph = h.make_graph(body, f"cell_{place}", value, given)
    zero, width = f"zero_{place}", f"width_{place}"
    held[width] = torch.tensor([layer.hidden])
    fill = h.make_tensor("value", kinds.FLOAT, [1], [0.0])
    nodes = [
        h.make_node("Concat", ["batch", width], [f"size_{place}"], axis=0),
        h.make_node("ConstantOfShape", [f"size_{place}"], [zero], value=fill),
        h.make_node(
            "Scan",
            [zero] * len(states) + [f"steps_{place}"],
            [f"end_{place}_{k}" for k in range(len(states))] + [f"steps_{place + 1}"],
            body=graph,
            num_scan_inputs=1,
        ),
    ]
    return nodes, held


def _cell(layer: GraphLayer, place: int, onnx: Any) -> tuple[list[Any], dict[str, Tensor]]:
    """One step: the nodes of the cell by name, reading `x` and `state_k`, and their weights."""
    h = onnx.helper
    nodes: list[Any] = []
    held: dict[str, Tensor] = {}

    def named(source: str | int) -> str:
        if isinstance(source, int):
            return f"node_{source}"
        return "x" if source == "x" else source.replace("h_prev", "state")

    for i, (op, sources) in enumerate(layer.nodes):
        out, inputs = f"node_{i}", [named(source) for source in sources]
        if op == "linear":
            total = f"bias_{place}_{i}"
            held[total] = layer.biases[str(i)]
            for j, source in enumerate(inputs):
                weight = f"weight_{place}_{i}_{j}"
                held[weight] = layer.matrices[f"{i}_{j}"]
                product, summed = f"{out}_product_{j}", out if j == len(inputs) - 1 else f"{out}_sum_{j}"
                nodes.append(h.make_node("MatMul", [source, weight], [product]))
                nodes.append(h.make_node("Add", [product, total], [summed]))
                total = summed
        elif op == "blend":  # a * b + (1 - a) * c = c + a * (b - c)
            a, b, c = inputs
            nodes.append(h.make_node("Sub", [b, c], [f"{out}_apart"]))
            nodes.append(h.make_node("Mul", [a, f"{out}_apart"], [f"{out}_part"]))
            nodes.append(h.make_node("Add", [c, f"{out}_part"], [out]))
        else:
            nodes.append(h.make_node(OPS[op], inputs, [out]))
    return nodes, held


def _tensors(held: dict[str, Tensor], onnx: Any) -> list[Any]:
    made = onnx.numpy_helper.from_array
    return [made(tensor.detach().contiguous().numpy(), name) for name, tensor in held.items()]
