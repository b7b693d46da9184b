"""`untrained prune`: a pretrained decoder in, a smaller one within a budget out."""

from __future__ import annotations

from typing import Annotated

import typer

from untrained.apps.cli._options import Device, Json, Seed, Text


def prune(
    model: Annotated[
        str, typer.Argument(metavar="DIR", help="A Hugging Face model directory with safetensors.")
    ],
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="OUT", help="The new model directory; must not exist.")
    ],
    params: Annotated[
        str | None,
        typer.Option(
            "--params", metavar="N", help="Budget: a share of all parameters (0.6) or a number (4.5B)."
        ),
    ] = None,
    fits: Annotated[
        str | None,
        typer.Option(
            "--fits",
            metavar="BYTES",
            help="Budget: memory (6GB) of the weights as stored, and of keys and values of 2,048 tokens.",
        ),
    ] = None,
    latency: Annotated[
        str | None,
        typer.Option(
            "--latency", metavar="TIME", help="Budget: time of 64 tokens on this machine, one thread (20ms)."
        ),
    ] = None,
    text: Text = None,
    proxy: Annotated[
        str,
        typer.Option(
            "-p",
            "--proxy",
            metavar="PROXY",
            help="What chooses: trace_nas, calibration_loss, wanda, flap, block_influence, weight_magnitude.",
        ),
    ] = "trace_nas",
    strategy: Annotated[
        str, typer.Option("--strategy", metavar="NAME[:opt=val,...]", help="How the next one is chosen.")
    ] = "regularized_evolution:population=20,tournament=5",
    trials: Annotated[
        int, typer.Option("--trials", metavar="N", min=1, help="Sub-networks to look at.")
    ] = 100,
    seed: Seed = 0,
    recover: Annotated[
        int, typer.Option("--recover", metavar="STEPS", min=0, help="Train the winner for so many steps.")
    ] = 0,
    align: Annotated[
        int, typer.Option("--align", metavar="N", min=1, help="MLP widths are multiples of this.")
    ] = 8,
    shortest: Annotated[
        float, typer.Option("--shortest", metavar="SHARE", help="Least share of the layers that stays.")
    ] = 0.5,
    narrowest: Annotated[
        float,
        typer.Option("--narrowest", metavar="SHARE", help="Least share of a layer's heads and channels."),
    ] = 0.25,
    groups: Annotated[
        str,
        typer.Option(
            "--groups", metavar="all|whole", help="Heads go from every group alike, or group by group."
        ),
    ] = "all",
    sequences: Annotated[
        int, typer.Option("--sequences", metavar="N", min=1, help="Of calibration text.")
    ] = 16,
    length: Annotated[
        int, typer.Option("--length", metavar="N", min=1, help="Tokens of a calibration sequence.")
    ] = 128,
    store: Annotated[
        str | None, typer.Option("--store", metavar="FILE|URL", help="Keep the search, to go on with it.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the search in the store, if it has one.")
    ] = False,
    device: Device = "cpu",
    json: Json = False,
) -> None:
    """Prune a pretrained decoder to a budget, without training.

    Llama, Mistral, Qwen2, Qwen3, GPT-2 and GPT-NeoX (Pythia). Layers are dropped, and in each layer heads and
    MLP channels; what is left is a model directory that from_pretrained loads, with a report in README.md and
    pruning.json. The last tenth of the text is held out, and perplexity is told on it. Nothing is written
    unless a fresh process reads it again and says the same.

    With --json: the report as one object.

    \b
    untrained prune models/pythia-160m --params 0.7 --text english.txt -o pruned
    untrained prune models/llama --fits 6GB --proxy wanda -o pruned
    """
    from untrained.apps.cli._guard import tell
    from untrained.apps.cli._progress import progress
    from untrained.apps.cli._screen import print_heading, print_record, print_section
    from untrained.core.errors import UsageError

    if resume and store is None:
        raise UsageError("--resume needs to know what to go on with: --store study.db")
    with progress("pruning") as tick:
        from untrained.apps.pruning import prune as work
        from untrained.apps.report.pruned import record, sections, title

        made = work(
            model,
            output,
            params=params,
            fits=fits,
            latency=latency,
            text=text,
            proxy=proxy,
            strategy=strategy,
            trials=trials,
            seed=seed,
            recover=recover,
            align=align,
            shortest=shortest,
            narrowest=narrowest,
            groups=groups,
            sequences=sequences,
            length=length,
            device=device,
            store=store,
            resume=resume,
            progress=lambda done, total, trial: tick(done, total),
            told=tell,
        )
    if json:
        print_record(record(made))
        return
    print_heading(title(made))
    for section in sections(made):
        print_section(section)
    print(f"\nwritten: {made.folder}")
