"""The commands in the order in which the help shows them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from untrained.apps.cli._guard import guarded
from untrained.apps.cli._options import Help
from untrained.apps.cli.calibrate import calibrate
from untrained.apps.cli.compare import compare
from untrained.apps.cli.correlate import correlate
from untrained.apps.cli.dashboard import dashboard
from untrained.apps.cli.data import get, list_files, verify
from untrained.apps.cli.discover import discover
from untrained.apps.cli.export import export
from untrained.apps.cli.features import features
from untrained.apps.cli.make_benchmark import make_benchmark
from untrained.apps.cli.plugins import list_, show
from untrained.apps.cli.prune import prune
from untrained.apps.cli.rank import rank
from untrained.apps.cli.reduce import reduce
from untrained.apps.cli.report import report
from untrained.apps.cli.sample import sample
from untrained.apps.cli.score import score
from untrained.apps.cli.search import search
from untrained.apps.cli.studies import delete, export_study, list_studies, show_study
from untrained.apps.cli.train import train

# Plain help: the formatting of rich would take longer to load than everything else together.
SETTINGS = {"help_option_names": ["-h", "--help"]}
# A declared argument, or typer's own help option, makes typer load pydantic: half of what `list` would take.
QUICK = {"allow_extra_args": True}
app = typer.Typer(
    add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, context_settings=SETTINGS
)
data = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="List, fetch and check benchmark files.",
)
studies = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="List, show, export and delete the studies of a store.",
)

COMMANDS: dict[str, Callable[..., None]] = {
    "show": show,
    "sample": sample,
    "score": score,
    "rank": rank,
    "search": search,
    "correlate": correlate,
    "compare": compare,
    "calibrate": calibrate,
    "features": features,
    "discover": discover,
    "reduce": reduce,
    "prune": prune,
    "report": report,
    "export": export,
    "train": train,
    "dashboard": dashboard,
    "make-benchmark": make_benchmark,
}
DATA: dict[str, Callable[..., None]] = {"list": list_files, "get": get, "verify": verify}
STUDIES: dict[str, Callable[..., None]] = {
    "list": list_studies,
    "show": show_study,
    "export": export_study,
    "delete": delete,
}

app.command("list", options_metavar="[KIND] [OPTIONS]", context_settings=QUICK, add_help_option=False)(
    guarded(list_)
)
for name, command in COMMANDS.items():
    app.command(name)(guarded(command))
for name, command in DATA.items():
    data.command(name)(guarded(command))
for name, command in STUDIES.items():
    studies.command(name)(guarded(command))
app.add_typer(studies, name="studies")
app.add_typer(data, name="data")


def _version(asked: bool) -> None:
    if asked:
        from untrained import __version__

        print(f"untrained {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True, add_help_option=False)
def untrained(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
    usage: Help = False,
) -> None:
    """Which neural network to train, told before training any.

    \b
    untrained list                                      what there is
    untrained score --recipe lstm --proxy fading_memory
    untrained search rnn_cell --where "params <= 8e6" --store study.db
    untrained report study.db

    Every command takes --json and --help. Exit codes: 0 good, 1 failed work, 2 wrong use.
    """
    if context.invoked_subcommand is None:
        print(context.get_help())
