"""The routes: fixed ones, none of which takes a path. Starlette is imported here and nowhere else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from untrained.apps.dashboard import content
from untrained.apps.dashboard.pages import KINDS, Pages
from untrained.apps.dashboard.shelf import Shelf
from untrained.apps.dashboard.state import state
from untrained.apps.dashboard.views import address
from untrained.core.errors import UnknownName, UntrainedError, UsageError
from untrained.studies import control
from untrained.studies.export import csv_text, jsonl
from untrained.studies.store import Store
from untrained.studies.stream import stream, value_names

LONGEST_NAME = 200  # characters of a study's name, as the store has them
STREAMS = 64  # pages that are told of news at once
PAUSE = 0.5  # seconds between two looks for news
BEAT = 15.0  # seconds after which a stream says that it is still there

Answer = Callable[[Request], Response]


def application(shelf: Shelf, pages: Pages, ended: Callable[[], bool]) -> Starlette:
    """The application behind the gate; `ended` says that the server is about to end."""
    desk = _Desk(shelf, pages, ended)
    routes = [
        Route("/", desk.studies),
        Route("/study", desk.study),
        Route("/trial", desk.trial),
        Route("/compare", desk.compare),
        Route("/events", desk.events),
        Route("/download", desk.download),
        Route("/static/{name}", desk.static),
        Route("/stop", desk.stop, methods=["POST"]),
        Route("/extend", desk.extend, methods=["POST"]),
    ]
    handlers: dict[Any, Any] = {HTTPException: desk.refused, Exception: desk.unforeseen}
    return Starlette(routes=routes, exception_handlers=handlers)


class _Desk:
    """One method a route. Those that are not `async` run in threads, as they may read the store."""

    def __init__(self, shelf: Shelf, pages: Pages, ended: Callable[[], bool]) -> None:
        self.shelf, self.pages, self.ended = shelf, pages, ended
        self.streams = 0

    # --- pages ----------------------------------------------------------------------------------------

    def studies(self, request: Request) -> Response:
        return self._page("studies", lambda: content.studies(self.shelf))

    def study(self, request: Request) -> Response:
        return self._page("study", lambda: content.study(self.shelf, _name(request, "study")))

    def trial(self, request: Request) -> Response:
        at = _number(request.query_params.get("number", ""))
        return self._page("trial", lambda: content.trial(self.shelf, _name(request, "study"), at))

    def compare(self, request: Request) -> Response:
        names = _name(request, "a"), _name(request, "b")
        return self._page("compare", lambda: content.compare(self.shelf, *names))

    def static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self.pages.assets:
            raise HTTPException(404, "there is no such page")
        return Response(self.pages.assets[name], media_type=KINDS[name.rpartition(".")[2]])

    # --- news, files, buttons -------------------------------------------------------------------------

    async def events(self, request: Request) -> Response:
        """Server-sent events: the state of a study whenever it has changed; unnamed: of the store."""
        name = _name(request, "study")
        if name and name not in self.shelf.studies:
            raise HTTPException(404, "there is no such study")
        if self.streams >= STREAMS:
            raise HTTPException(503, "too many pages are open")
        return StreamingResponse(self._news(name, request), media_type="text/event-stream")

    async def _news(self, name: str, request: Request) -> AsyncIterator[str]:
        loop = asyncio.get_running_loop()
        self.streams += 1
        seen, told = -1, loop.time()
        try:
            while not self.ended() and not await request.is_disconnected():
                if self.shelf.changed != seen:
                    seen, told = self.shelf.changed, loop.time()
                    yield f"data: {json.dumps(self._told(name))}\n\n"
                elif loop.time() - told > BEAT:
                    told = loop.time()
                    yield ": still here\n\n"
                await asyncio.sleep(PAUSE)
        finally:
            self.streams -= 1

    def _told(self, name: str) -> dict[str, Any]:
        news: dict[str, Any] = {"trouble": self.shelf.trouble or "", "changed": self.shelf.changed}
        with suppress(UnknownName):
            if name:
                news |= state(self.shelf.get(name))
        return news

    def download(self, request: Request) -> Response:
        """All trials as CSV or JSON lines, read and sent a few thousand at a time."""
        kind, name = request.query_params.get("format", ""), _name(request, "study")
        if kind not in ("csv", "jsonl"):
            raise HTTPException(400, "format is csv or jsonl")
        with suppress(UnknownName):
            self.shelf.get(name)
            head = {"content-disposition": f'attachment; filename="trials.{kind}"'}
            media = "text/csv; charset=utf-8" if kind == "csv" else "application/x-ndjson"
            return StreamingResponse(self._trials(name, kind), media_type=media, headers=head)
        raise HTTPException(404, "there is no such study")

    def _trials(self, name: str, kind: str) -> Iterator[str]:
        with Store(self.shelf.location, study=name) as log:
            question = log.question()
            if kind == "jsonl":
                yield from jsonl(stream(log, question))
            else:
                yield from csv_text(stream(log, question), value_names(log, question))

    async def stop(self, request: Request) -> Response:
        return await self._wish(request, lambda name, form: control.stop(self.shelf.location, name))

    async def extend(self, request: Request) -> Response:
        def ask(name: str, form: dict[str, str]) -> None:
            control.extend(self.shelf.location, name, _number(form.get("trials", "")))

        return await self._wish(request, ask)

    async def _wish(self, request: Request, ask: Callable[[str, dict[str, str]], None]) -> Response:
        """Asks it of the search; back to the study's page, which shows what was asked."""
        try:
            parsed = parse_qs((await request.body()).decode(), max_num_fields=8)
        except ValueError:
            raise HTTPException(400, "that is no form of ours") from None
        form = {name: values[0] for name, values in parsed.items()}
        name = form.get("study", "")[:LONGEST_NAME]

        def work() -> Response:
            try:
                self.shelf.get(name)
                ask(name, form)
                self.shelf.look()
            except UntrainedError as error:
                return self._problem(error)
            return RedirectResponse(address("study", study=name), 303)

        return await asyncio.get_running_loop().run_in_executor(None, work)

    # --- what goes wrong ------------------------------------------------------------------------------

    def _page(self, name: str, made: Callable[[], dict[str, Any]]) -> Response:
        try:
            return HTMLResponse(self.pages.page(name, **self._around(), **made()))
        except UntrainedError as error:
            return self._problem(error)

    def _problem(self, error: UntrainedError) -> Response:
        status = 404 if isinstance(error, UnknownName) else 400 if isinstance(error, UsageError) else 500
        return HTMLResponse(self._said(str(error)), status)

    def refused(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        said = "there is no such page" if error.status_code == 404 else error.detail
        return HTMLResponse(self._said(said), error.status_code)

    def unforeseen(self, request: Request, error: Exception) -> Response:
        """Anything else: its kind, and nothing of the machine."""
        return HTMLResponse(self._said(f"this was not foreseen: {type(error).__name__}"), 500)

    def _said(self, message: str) -> str:
        what, _, advice = message.partition("\n")
        return self.pages.page("problem", **self._around(), what=what, advice=advice, watch="")

    def _around(self) -> dict[str, Any]:
        """What every page has."""
        return {
            "store": self.shelf.shown,
            "trouble": self.shelf.trouble or "",
            "changed": self.shelf.changed,
            "several": sum(live.question is not None for live in self.shelf.studies.values()) > 1,
        }


def _name(request: Request, key: str) -> str:
    found = request.query_params.get(key, "")
    if len(found) > LONGEST_NAME:
        raise HTTPException(400, "the name is too long")
    return found


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 12):
        raise HTTPException(400, "a whole number is needed")
    return int(text)
