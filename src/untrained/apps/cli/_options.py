"""The options that several commands share, each declared once."""

from __future__ import annotations

from typing import Annotated

import typer

DEFAULT = ["fading_memory"]  # what is meant where no proxy is named


def _help(context: typer.Context, asked: bool) -> None:
    if asked:
        print(context.get_help())
        raise typer.Exit


# For what has to be quick: typer's own help option makes it load pydantic, half of what `list` would take.
Help = Annotated[
    bool, typer.Option("--help", "-h", is_eager=True, callback=_help, help="Show this message and exit.")
]
Json = Annotated[bool, typer.Option("--json", help="Records for programs instead of a table for people.")]
Proxies = Annotated[
    list[str],
    typer.Option(
        "--proxy",
        "-p",
        metavar="METRIC,...",
        help="Proxies and costs, with commas between or repeated; settings after a colon:"
        " latency:batch=4,repeats=5. 'all' is every proxy.",
    ),
]
Combine = Annotated[
    str | None,
    typer.Option(
        "--combine",
        metavar="mean_rank|log_rank|borda",
        help="All the metrics together, by the ranks that each gives. No labels are needed.",
    ),
]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        "-m",
        metavar="DIR|CONFIG",
        help="A Hugging Face model directory or config.json on disk. May be repeated.",
    ),
]
Space = Annotated[
    str | None,
    typer.Option(
        "--space", "-s", metavar="SPACE", help="The search space; else the one that the file names."
    ),
]
StudyName = Annotated[
    str | None,
    typer.Option(
        "--study", metavar="NAME", help="One of several studies of a store; see: untrained studies list"
    ),
]
Scale = Annotated[
    str,
    typer.Option(
        "--scale",
        metavar="paper|probe",
        help="Size of the networks that proxies look at: as published, or small and much faster."
        " Costs are those at paper scale.",
    ),
]
Text = Annotated[
    str | None,
    typer.Option("--text", metavar="FILE", help="UTF-8 text to look at; else English that Python ships."),
]
Seeds = Annotated[
    int,
    typer.Option(
        "--seeds", metavar="K", min=1, help="Draws of weights and text window; the value is their mean."
    ),
]
Seed = Annotated[int, typer.Option("--seed", metavar="S", help="The same seed gives the same result.")]
Device = Annotated[str, typer.Option("--device", metavar="DEVICE", help="cpu, cuda, cuda:1, ...")]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="K",
        min=1,
        help="Processes; else as many as pay. The numbers do not depend on it.",
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="Folder with the files as published; else UNTRAINED_DATA, else the user's cache.",
    ),
]
