"""A text as the tokens of a parent: its own tokenizer, else bytes."""

from __future__ import annotations

from functools import cached_property, lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from untrained.core.errors import BadText, MissingExtra, UsageError

BYTES = 256
LARGEST = 2**22  # characters that are read of a text; a calibration takes far fewer
FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "chat_template.jinja",
)
"""what a tokenizer may consist of; a sub-network has the same"""


class Reader:
    """Reads texts for a model directory."""

    def __init__(self, folder: Path | None, vocabulary: int) -> None:
        self.folder, self.vocabulary = folder, vocabulary

    @property
    def kind(self) -> str:
        """Where the tokens come from, for people."""
        if self.folder is None or not (self.folder / FILES[0]).is_file():
            return "bytes"
        return FILES[0]

    def ids(self, text: str) -> tuple[int, ...]:
        """The tokens of the first 4 Mi characters; raises UsageError where nothing says what they are."""
        return _read(self.kind, self.folder, self.vocabulary, text[:LARGEST])

    def decode(self, ids: list[int]) -> str:
        """A text again."""
        if self.kind == "bytes":
            return bytes(i for i in ids if i < BYTES).decode("utf-8", errors="replace")
        assert self.folder is not None
        return str(_tokenizer(self.folder).decode(ids))

    @cached_property
    def files(self) -> list[Path]:
        """What to copy beside a sub-network."""
        return [] if self.folder is None else [p for n in FILES if (p := self.folder / n).is_file()]


@lru_cache(maxsize=8)
def _read(kind: str, folder: Path | None, vocabulary: int, text: str) -> tuple[int, ...]:
    if kind == "bytes":
        if vocabulary < BYTES or (folder is not None and vocabulary > 2 * BYTES):
            raise UsageError(
                f"{folder or 'the parent'} has {vocabulary} tokens and no {FILES[0]} to say what they are.\n"
                f"  put its tokenizer there, as save_pretrained writes it: {FILES[0]}"
            )
        return tuple(text.encode())
    assert folder is not None
    found = tuple(_tokenizer(folder).encode(text, add_special_tokens=False).ids)
    if found and max(found) >= vocabulary:
        raise BadText(
            f"the tokenizer of {folder} gives the id {max(found)}, and the model knows {vocabulary}"
        )
    return found


@lru_cache(maxsize=4)
def _tokenizer(folder: Path) -> Any:
    try:
        package = import_module("tokenizers")
    except ImportError:
        raise MissingExtra("reading a text for a pretrained model", "tokenizers", "hf") from None
    path = folder / FILES[0]
    try:
        return package.Tokenizer.from_file(str(path))
    except Exception as error:  # of no class of its own
        raise UsageError(f"{path} is no tokenizer: {str(error).splitlines()[0]}") from None
