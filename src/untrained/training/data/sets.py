"""Data sets of the package `datasets`: by name, or in a directory on disk. No code of theirs is run."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from untrained.core.errors import BadText, MissingExtra
from untrained.training.data.labelled import LABEL, TEXT, Labelled, from_rows, rows_of
from untrained.training.data.language import BLOCK, Language, gathered, halved
from untrained.training.data.tokenizer import Tokenizer

EXAMINED = ("validation", "dev", "valid", "test")  # names of a part that serves for examination
SAVED = ("dataset_dict.json", "state.json")  # what a directory written by save_to_disk holds


def language(name: str, tokenizer: Tokenizer, *, held_out: float = 0.1) -> Language:
    """The texts of a data set, one after another, a line end between; its validation part is held out.

    Without one, the last `held_out` share. Raises BadText for a data set that cannot be read or has no text.
    """
    parts = _parts(name)
    train, exam = _two(parts, name)
    whole = gathered(_texts(train, name), tokenizer)
    source = f"the data set {name}"
    if exam is None:
        return halved(whole, tokenizer, held_out, source)
    return Language(whole, gathered(_texts(exam, name), tokenizer), tokenizer, source)


def labelled(name: str, tokenizer: Tokenizer, *, held_out: float = 0.1) -> Labelled:
    """Its texts and labels; the names of the labels where the data set has them."""
    train, exam = _two(_parts(name), name)
    source = f"the data set {name}"
    rows = rows_of(_named(train), source)
    validation = None if exam is None else rows_of(_named(exam), source)
    return from_rows(rows, tokenizer, source=source, validation=validation, held_out=held_out)


def _parts(name: str) -> Any:
    """The parts of a data set by name: `NAME`, `NAME:CONFIG`, or a directory."""
    try:
        package = import_module("datasets")
    except ImportError:
        raise MissingExtra("reading a data set", "datasets", "training") from None
    place = Path(name).expanduser()
    package.disable_progress_bars()
    try:
        if place.is_dir():
            if any((place / file).is_file() for file in SAVED):
                found = package.load_from_disk(str(place))
                return found if hasattr(found, "keys") else {"train": found}
            return package.load_dataset(str(place))
        wanted, _, config = name.partition(":")
        return package.load_dataset(wanted, config or None)
    except Exception as error:  # files that are damaged or not there show in many ways
        said = str(error).strip().partition("\n")[0] or type(error).__name__
        raise BadText(
            f"the data set {name} cannot be read: {said}\n"
            "  give a name on the Hugging Face hub, NAME:CONFIG, or a directory with parquet, JSON lines,"
            " CSV or text: --data DIR"
        ) from None


def _two(parts: Any, name: str) -> tuple[Any, Any]:
    """What is trained on, and what is held out where there is such a part."""
    if "train" not in parts:
        raise BadText(f"the data set {name} has no part called train (it has: {', '.join(parts)})")
    exam = next((parts[part] for part in EXAMINED if part in parts), None)
    return parts["train"], exam


def _texts(rows: Any, name: str) -> Iterator[str]:
    """About a million characters at a time."""
    if TEXT not in rows.column_names:
        raise BadText(f"the data set {name} has no column {TEXT!r} (it has: {', '.join(rows.column_names)})")
    held, size = list[str](), 0
    for row in rows:
        text = row[TEXT] or ""
        held.append(text if text.endswith("\n") else f"{text}\n")
        size += len(held[-1])
        if size >= BLOCK:
            yield "".join(held)
            held, size = [], 0
    if held:
        yield "".join(held)


def _named(rows: Any) -> Iterator[dict[str, Any]]:
    """Rows with labels by their names, where the data set knows them."""
    names: list[str] = getattr(rows.features.get(LABEL), "names", None) or []
    for row in rows:
        label = row.get(LABEL)
        known = isinstance(label, int) and 0 <= label < len(names)
        yield {**row, LABEL: names[label] if known else label}
