"""`untrained train`: gradient steps, for the few networks that have earned them."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer

from untrained.apps.cli._finals import going_on, ranking
from untrained.apps.cli._options import Device, Json, Space, StudyName

if TYPE_CHECKING:
    from untrained.core.space import Space as SearchSpace
    from untrained.training.trainer import Trained


def train(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[DIR|CONFIG|STORE]",
            help="A Hugging Face model directory or config.json on disk; or name an architecture: --arch."
            " With --top, the store of a search.",
        ),
    ] = None,
    out: Annotated[
        str, typer.Option("--out", "-o", metavar="DIR", help="Where the model and its curve are kept.")
    ] = "",
    recipe: Annotated[
        str,
        typer.Option(
            "--recipe",
            "-r",
            metavar="NAME[:opt=val,...]",
            help="How it is trained: causal_lm:steps=300,peak_lr=1e-3; see: untrained list recipe",
        ),
    ] = "causal_lm",
    text: Annotated[
        str | None,
        typer.Option(
            "--text", metavar="FILE", help="UTF-8 text of any size; else English that Python ships."
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="NAME|DIR",
            help="A Hugging Face data set in place of --text: NAME, NAME:CONFIG or a directory.",
        ),
    ] = None,
    validation: Annotated[
        str | None,
        typer.Option(
            "--validation", metavar="FILE", help="A text to examine on; else the last part of --text."
        ),
    ] = None,
    held_out: Annotated[
        float, typer.Option("--held-out", metavar="SHARE", help="How large that last part is.")
    ] = 0.1,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            "--tokenizer",
            metavar="bytes|FILE|DIR",
            help="A tokenizer.json or a model directory; else that of DIR, else bytes.",
        ),
    ] = None,
    arch: Annotated[
        str | None,
        typer.Option("--arch", "-a", metavar="FILE", help="A file with one architecture; - is stdin."),
    ] = None,
    space: Space = None,
    scale: Annotated[
        str,
        typer.Option(
            "--scale",
            metavar="NAME[:size=N,...]",
            help="Size of an architecture's network, such as paper:width=64,layers=2; its vocabulary is the"
            " tokenizer's unless vocabulary=N.",
        ),
    ] = "paper",
    top: Annotated[
        int | None,
        typer.Option("--top", metavar="K", min=1, help="Train the best K of a STORE, and keep the best."),
    ] = None,
    study: StudyName = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes",
            metavar="M",
            help="As many steps as fit, by the time of the first few; with --top, of all together.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the training in DIR, if there is one.")
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write the curve for TensorBoard as well, to DIR/board.")
    ] = False,
    device: Device = "cpu",
    threads: Annotated[
        int,
        typer.Option("--threads", metavar="K", min=1, help="Of a CPU; part of what the result depends on."),
    ] = 1,
    json: Json = False,
) -> None:
    """Train a network on a text, and keep it with its learning curve.

    Kill it anywhere: --resume goes on from the last examination, and on a CPU ends with the same weights.
    With --json: one object with the marks, the baselines and the folder.

    \b
    untrained sample gpt_decoder | untrained train --arch - --text a.txt -o out
    untrained train my-model/config.json -r causal_lm:steps=500 -o out
    untrained train my-model --text more.txt -r causal_lm:peak_lr=1e-4 -o out
    untrained train study.db --top 3 --minutes 60 --text a.txt -o out
    """
    from untrained.apps.cli._screen import print_record, print_section
    from untrained.core.errors import UsageError

    if not out:
        raise UsageError("a training needs a folder to be kept in: -o DIR")
    asked = {
        "recipe": recipe,
        "text": text,
        "validation": validation,
        "data": data,
        "held_out": held_out,
        "tokenizer": tokenizer,
        "scale": scale,
        "out": out,
        "resume": resume,
        "minutes": minutes,
        "device": device,
        "threads": threads,
        "tensorboard": tensorboard,
    }
    if top is not None:
        ranking(model, study, top, asked, json)
        return
    what, place = _what(model, arch, space)
    found = _trained(what, space=place, **asked)
    if json:
        print_record(_record(found))
        return
    from untrained.apps.report.training import outcome

    print_section(outcome(found, _record(found)["baselines"]))
    print(f"\nkept:  {shlex.quote(str(found.folder))}")


def _what(model: str | None, arch: str | None, space: str | None) -> tuple[object, SearchSpace | None]:
    """What is to be trained, and the space of an architecture."""
    from untrained.apps.cli._inputs import architectures
    from untrained.core.errors import UsageError

    if (model is None) == (arch is None):
        raise UsageError(
            "name one thing to train: a Hugging Face model directory or config.json, or --arch FILE.\n"
            "  an architecture: untrained sample gpt_decoder > one.jsonl; untrained train --arch one.jsonl"
        )
    if arch is None:
        return model, None
    place, found = architectures(arch, space)
    if len(found) > 1:
        raise UsageError(f"{arch} holds {len(found):,} architectures, and one is trained at a time")
    return found[0], place


def _trained(what: object, **asked: Any) -> Trained:
    from untrained.apps.cli._progress import progress

    with progress("training") as tick, going_on(asked["out"]):
        from untrained.apps.training import train as run

        return run(what, progress=lambda done, total, line: tick(done, total), **asked)


def _record(found: Trained) -> dict[str, Any]:
    from untrained.training.folder import RESULT, Folder

    assert found.folder is not None
    result: dict[str, Any] = Folder(found.folder, resume=True).read(RESULT)
    return {"folder": str(found.folder), "recipe": found.recipe.name, **result}
