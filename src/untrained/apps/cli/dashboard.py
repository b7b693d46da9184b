"""`untrained dashboard`: a live page about the searches of a store."""

from __future__ import annotations

from typing import Annotated

import typer

from untrained.apps.cli._options import Json


def dashboard(
    store: Annotated[str, typer.Argument(metavar="STORE", help="What search was given as --store.")],
    port: Annotated[
        int | None,
        typer.Option(
            "--port", metavar="N", help="Where to listen.  [default: 8686, or the next that is free]"
        ),
    ] = None,
    host: Annotated[str, typer.Option("--host", metavar="HOST", help="Under which address.")] = "127.0.0.1",
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Let --host be one that other machines reach.")
    ] = False,
    no_open: Annotated[bool, typer.Option("--no-open", help="Only print the address.")] = False,
    json: Json = False,
) -> None:
    """Show the searches of a store in the browser, also while they run.

    Progress, front, comparisons, single architectures; downloads; a running search can be stopped or
    extended. Only who has the printed address can open it. Ctrl-C ends it; the search goes on.

    With --json: one object with url, port and store, then it serves.

    \b
    untrained dashboard study.db
    ssh -L 8686:localhost:8686 HOST untrained dashboard study.db --no-open
    """
    from untrained.apps.cli._guard import tell
    from untrained.apps.dashboard.serve import USUAL, opened, serve, show
    from untrained.apps.dashboard.shelf import Shelf
    from untrained.apps.dashboard.views import prepare
    from untrained.studies.store import NoStudy, names

    shelf = Shelf(store)
    try:
        names(store)
    except NoStudy:
        tell(f"{shelf.shown} holds no study yet; the page will show the first one")
    door = opened(host, port, allow_remote=allow_remote)
    tell(f"reading {shelf.shown}")
    shelf.look()
    prepare(shelf.studies.values())

    def started() -> None:
        if port is None and door.port != USUAL:
            tell(f"the port {USUAL} is in use; taken: {door.port}")
        _print(door.url, door.port, shelf.shown, json)
        if not no_open:
            show(door.url)

    serve(shelf, door, started)
    tell("\nstopped; searches go on")


def _print(url: str, port: int, store: str, json: bool) -> None:
    import sys

    from untrained.apps.cli._screen import print_record

    if json:
        print_record({"url": url, "port": port, "store": store})
    else:
        print(f"{store}: {url}\nCtrl-C ends the page.")
    sys.stdout.flush()
