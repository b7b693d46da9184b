"""Records as a table of pandas, where it is installed: the only file that knows of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any


def frame(records: Sequence[Mapping[str, Any]]) -> Any:
    """A `pandas.DataFrame`, one row a record; the list of records itself where pandas is not installed.

    What must not depend on that takes `records()`, which is a list of dicts everywhere.
    """
    if find_spec("pandas") is None:
        return list(records)
    return import_module("pandas").DataFrame.from_records(list(records))
