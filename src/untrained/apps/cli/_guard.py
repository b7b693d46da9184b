"""How commands end: exit codes, and errors as sentences instead of tracebacks."""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any, TextIO

import typer

from untrained.core.errors import UntrainedError, UsageError

DEBUG = "UNTRAINED_DEBUG"
FAILED, WRONG_USE, INTERRUPTED = 1, 2, 130
LONGEST = 500  # characters of an unexpected error's own message


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """The command with its exceptions turned into messages on stderr and exit codes."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
            if sys.stdout is not None:
                sys.stdout.flush()  # a reader that has gone is noticed here, not when Python ends
        except (typer.Exit, typer.Abort):
            raise
        except BrokenPipeError:  # `| head` has seen enough
            _drop_output()
            raise typer.Exit(0) from None
        except KeyboardInterrupt:
            raise typer.Exit(stopped()) from None
        except Exception as error:
            raise typer.Exit(_explained(error)) from None

    return run


def forgiving(stream: TextIO | None) -> None:
    """Lets a stream print names of files that its encoding does not have."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")


def tell(message: str) -> None:
    """A message for people, on stderr."""
    if sys.stderr is not None:  # print would take stdout instead
        with suppress(OSError, ValueError):  # nobody is left to tell
            print(message, file=sys.stderr, flush=True)


def stopped() -> int:
    """Says that Ctrl-C was heard; the exit code for it."""
    tell("\nstopped")
    return INTERRUPTED


def _explained(error: Exception) -> int:
    """Tells what went wrong and returns the exit code that goes with it."""
    if os.environ.get(DEBUG):
        traceback.print_exception(error)
    if isinstance(error, UntrainedError):
        tell(str(error))
        return WRONG_USE if isinstance(error, UsageError) else FAILED
    if isinstance(error, OSError) and error.strerror and not error.filename:
        _drop_output()  # a full disk behind `> file`; Python would try again at its end
        tell(f"the output cannot be written: {error.strerror}")
        return FAILED
    said = " ".join(str(error).split())[:LONGEST]
    what = f"{type(error).__name__}: {said}" if said else type(error).__name__
    tell(f"this was not foreseen: {what} ({DEBUG}=1 shows where)")
    return FAILED


def _drop_output() -> None:
    """Whatever is still to be written to stdout goes nowhere."""
    with suppress(OSError, ValueError, AttributeError, io.UnsupportedOperation):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
