"""`untrained export`: the winner as a Hugging Face directory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from untrained.apps.cli._options import Json, Seed, Space, StudyName

if TYPE_CHECKING:
    from untrained.core.architecture import Architecture


def export(
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="DIR", help="The new folder; it may not exist yet.")
    ],
    what: Annotated[
        str | None,
        typer.Argument(metavar="[STORE|DIR]", help="A store of search, or a folder of untrained train."),
    ] = None,
    trial: Annotated[
        str | None,
        typer.Option(
            "--trial", metavar="ID", help="Its number, or the id of its architecture; else the best."
        ),
    ] = None,
    study: StudyName = None,
    space: Space = None,
    arch: Annotated[
        str | None,
        typer.Option("--arch", metavar="FILE", help="An architecture as JSON instead; '-' is stdin."),
    ] = None,
    scale: Annotated[
        str | None,
        typer.Option(
            "--scale", metavar="SCALE", help="Else paper. With sizes: paper:vocabulary=260 fits byte tokens."
        ),
    ] = None,
    seed: Seed = 0,
    onnx: Annotated[bool, typer.Option("--onnx", help="Add a model.onnx, checked in onnxruntime.")] = False,
    licence: Annotated[
        str, typer.Option("--licence", metavar="ID", help="For the model card, such as apache-2.0.")
    ] = "unknown",
    json: Json = False,
) -> None:
    """Write a winner as a Hugging Face model that a fresh process has loaded and found equal.

    Weights are fresh from the seed, or those of a training's folder. Decoders that a stock Llama, Mistral or
    GPT-2 computes as well leave as such; for the others `import untrained` is all that loading takes.

    \b
    untrained export study.db -o winner
    untrained export --space rnn_cell --arch cell.json -o winner --onnx
    untrained export trained/ -o winner
    """
    from untrained.apps.cli._guard import tell
    from untrained.apps.cli._screen import print_record
    from untrained.apps.export.writing import export as write
    from untrained.core.errors import UsageError

    if (what is None) == (arch is None):
        raise UsageError(
            "give either STORE (or a training's DIR) or --arch FILE; see: untrained export --help"
        )
    if space is not None and arch is None:
        raise UsageError("--space goes with --arch FILE; a store says its space itself")
    made = write(
        what if arch is None else _single(arch, space),
        output,
        trial=trial,
        study=study,
        scale=scale,
        seed=seed,
        onnx=onnx,
        licence=licence,
        say=lambda message: tell(f"{message} ..."),
    )
    if json:
        print_record(made.record())
        return
    first = "import untrained; " if made.ours else ""
    print(f"{made.path}: {made.model_type}, {made.params:,} parameters,", end=" ")
    print("trained weights" if made.trained else f"random weights (seed {seed})")
    print(f"  a fresh process gives the same logits to within {made.difference:.1e}")
    if made.onnx is not None:
        print(f"  onnxruntime gives the same logits to within {made.onnx:.1e}")
    print(f"  load it: {first}from transformers import {made.auto}")
    print(f"           model = {made.auto}.from_pretrained({str(made.path)!r})")


def _single(path: str, space: str | None) -> Architecture:
    """The one architecture of a file."""
    from untrained.apps.cli._inputs import architectures
    from untrained.core.errors import UsageError

    _, found = architectures(path, space)
    if len(found) > 1:
        raise UsageError(
            f"{path} holds {len(found):,} architectures, and one is exported.\n"
            f"  the first: head -n 1 {path} | untrained export --arch - -o DIR"
        )
    return found[0]
