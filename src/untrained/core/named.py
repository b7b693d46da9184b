"""Plug-ins as one types them: a name and options, `bert_encoder:preset=large`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from untrained.core import registry
from untrained.core.metric import keyword_options, parse_options, split_options
from untrained.core.narrowed import ENDING, from_file


def construct(kind: str, text: str, *args: Any, **settings: Any) -> Any:
    """The plug-in class of that kind, made with `args` and the options that were typed or are `settings`.

    Options are the keyword-only parameters of its `__init__`; as part of another's options, they stand in
    parentheses: `zero_cost_warmup:inner=tpe(start=10),pool=100`. A space may be a file that narrows one, as
    `untrained reduce` writes it. Raises UnknownName, with the nearest
    names, or UsageError for an option that it does not have or a value of the wrong type.
    """
    text = text.strip()
    if kind == "space" and text.endswith(ENDING):
        return from_file(text)
    name, _, tail = text.partition(":")
    if "(" in name and text.endswith(")"):
        name, _, tail = text[:-1].partition("(")
    found: Callable[..., Any] = registry.get(kind, name)
    given = {**split_options(tail), **settings}
    return found(*args, **parse_options(f"{kind} {name}", keyword_options(found), given))
