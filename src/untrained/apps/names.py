"""Lists of metrics as one types them: `fading_memory,latency:batch=4,repeats=5`."""

from __future__ import annotations

from collections.abc import Iterable

from untrained.core.errors import UsageError


def split_names(typed: str | Iterable[str]) -> list[str]:
    """The metrics of one text or of several, each with its own settings; doubles are kept once.

    A comma parts metrics and also the settings of one metric: a piece `name=value` belongs to the metric
    before it. Raises UsageError where it cannot, or where nothing is named.
    """
    names: list[str] = []
    for text in [typed] if isinstance(typed, str) else typed:
        own: list[str] = []
        for piece in filter(None, map(str.strip, text.split(","))):
            if not _is_setting(piece):
                own.append(piece)
            elif own and ":" in own[-1]:
                own[-1] += f",{piece}"
            else:
                raise UsageError(_lost(piece, own))
        names += own
    if not names:
        raise UsageError(
            "no metric is named.\n  name one or more: fading_memory,params\n  see: untrained list"
        )
    return list(dict.fromkeys(names))


def _is_setting(piece: str) -> bool:
    name, equals, _ = piece.partition("=")
    return bool(equals) and ":" not in name


def _lost(piece: str, before: list[str]) -> str:
    if not before:
        return f"the setting {piece!r} follows no metric.\n  write it like: latency:batch=4,repeats=5"
    owner = before[-1]
    return f"the setting {piece!r} follows {owner!r} without a colon.\n  write it like: {owner}:{piece}"
