"""A text as token ids, part of it held out, cut into windows in an order that the seed alone decides."""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from untrained.core import text as texts
from untrained.core.errors import BadText
from untrained.training.data.tokenizer import Bytes, Ids, Tokenizer

BLOCK = 2**20  # bytes of a file that are decoded at a time
BOM = codecs.BOM_UTF8
SHIPPED = "the text that Python ships"
GIVE = "give a longer UTF-8 text: --text FILE"


@dataclass(frozen=True)
class Tokens:
    """Ids in the order of the text; those of a long file are read from disk as they are needed."""

    ids: Ids  # (N,)
    bytes: int
    """of UTF-8 that these are"""

    def __len__(self) -> int:
        return len(self.ids)

    def part(self, first: int, last: int) -> Tokens:
        """Those from `first` to before `last`; its bytes are taken to be spread evenly."""
        share = (last - first) / max(1, len(self))
        return Tokens(self.ids[first:last], round(self.bytes * share))


@dataclass(frozen=True)
class Language:
    """What a language model is trained on, and what it is examined on."""

    train: Tokens
    held_out: Tokens
    tokenizer: Tokenizer
    source: str

    @cached_property
    def fingerprint(self) -> str:
        """Of all ids; a training goes on only with the same ones."""
        digest = hashlib.sha256(self.tokenizer.name.encode())
        for tokens in (self.train, self.held_out):
            for first in range(0, len(tokens), BLOCK):
                digest.update(np.ascontiguousarray(tokens.ids[first : first + BLOCK]).tobytes())
            digest.update(b"|")
        return digest.hexdigest()[:16]

    def check(self, length: int) -> None:
        """Raises BadText unless both parts hold a window of `length` tokens and the one that follows."""
        for what, tokens in (("to train on", self.train), ("held out", self.held_out)):
            if len(tokens) < length + 1:
                raise BadText(
                    f"{self.source} is too short: {len(tokens):,} tokens {what}, and one sequence takes"
                    f" {length + 1}.\n  {GIVE}, or shorter sequences: --recipe NAME:length={length // 2 or 1}"
                )

    def windows(self, length: int) -> int:
        """Windows in one pass over the text to train on."""
        return max(1, (len(self.train) - 1) // length)

    def batch(self, step: int, batch: int, length: int, seed: int) -> Tensor:
        """The windows of an update: (batch, length + 1), int64. Depends on these four numbers alone.

        Each pass takes all windows once, in an order and from a beginning of its own.
        """
        each = self.windows(length)
        rows = [self._row(step * batch + i, each, length, seed) for i in range(batch)]
        return torch.from_numpy(np.stack(rows))

    def exam(self, batch: int, length: int, most: int = 0) -> Iterator[Tensor]:
        """The held-out text in windows (B, length + 1) that overlap by one token; `most` windows if not 0."""
        ids = self.held_out.ids
        starts = list(range(0, len(ids) - length, length))
        starts = _spread(starts, most) if most else starts
        for i in range(0, len(starts), batch):
            rows = [np.asarray(ids[s : s + length + 1], dtype=np.int64) for s in starts[i : i + batch]]
            yield torch.from_numpy(np.stack(rows))

    def _row(self, number: int, each: int, length: int, seed: int) -> Ids:
        epoch, place = divmod(number, each)
        order, shift = self._epoch(epoch, each, length, seed)
        start = int(order[place]) * length + shift
        return np.asarray(self.train.ids[start : start + length + 1], dtype=np.int64)

    def _epoch(self, epoch: int, each: int, length: int, seed: int) -> tuple[Ids, int]:
        key = (epoch, each, length, seed)
        if key not in self._orders:
            luck = np.random.Generator(np.random.PCG64([seed, epoch]))
            spare = len(self.train) - 1 - each * length
            self._orders.clear()  # the one before is not needed again
            self._orders[key] = luck.permutation(each), int(luck.integers(spare + 1))
        return self._orders[key]

    @cached_property
    def _orders(self) -> dict[tuple[int, int, int, int], tuple[Ids, int]]:
        return {}


def from_files(
    text: str | Path | None,
    tokenizer: Tokenizer,
    *,
    validation: str | Path | None = None,
    held_out: float = 0.1,
) -> Language:
    """A text file, its last `held_out` share kept for examination, or another file for that.

    Without a file, the English that Python ships. Raises BadText for a file that is missing, empty, binary
    or not UTF-8.
    """
    whole = read(text, tokenizer)
    source = f"the text {text}" if text is not None else SHIPPED
    if validation is not None:
        return Language(whole, read(validation, tokenizer), tokenizer, source)
    return halved(whole, tokenizer, held_out, source)


def from_text(
    text: str, tokenizer: Tokenizer, *, held_out: float = 0.1, source: str = "the text"
) -> Language:
    """A text that is there already, its last `held_out` share kept for examination."""
    return halved(Tokens(tokenizer.encode(text), len(text.encode())), tokenizer, held_out, source)


def halved(whole: Tokens, tokenizer: Tokenizer, held_out: float, source: str) -> Language:
    """The last `held_out` share of a text kept for examination."""
    cut = len(whole) - round(len(whole) * held_out)
    return Language(whole.part(0, cut), whole.part(cut, len(whole)), tokenizer, source)


def read(path: str | Path | None, tokenizer: Tokenizer) -> Tokens:
    """The ids of a UTF-8 file of any size, or of the text that Python ships; raises BadText."""
    if path is None:
        said = texts.load().text
        return Tokens(tokenizer.encode(said), len(said.encode()))
    file = Path(path).expanduser()
    size = _checked(file)
    if isinstance(tokenizer, Bytes):  # the file is the ids, and stays on the disk
        first = len(BOM) if _begins_with_bom(file) else 0
        return Tokens(np.memmap(file, dtype=np.uint8, mode="r", offset=first), size - first)
    return gathered(_lines(file), tokenizer)


def gathered(pieces: Iterable[str], tokenizer: Tokenizer) -> Tokens:
    """The ids of several pieces of text, one after another."""
    found, size = [], 0
    for piece in pieces:
        found.append(tokenizer.encode(piece))
        size += len(piece.encode())
    return Tokens(np.concatenate(found) if found else np.zeros(0, np.int32), size)


def _checked(file: Path) -> int:
    """The size of a file in bytes; raises BadText unless it is UTF-8 throughout."""
    decoder, size = codecs.getincrementaldecoder("utf-8")(), 0
    try:
        with file.open("rb") as opened:
            while block := opened.read(BLOCK):
                if b"\0" in block:
                    raise BadText(
                        f"the text {file} is binary (it holds zero bytes).\n"
                        "  give plain text in UTF-8: --text FILE"
                    )
                decoder.decode(block)
                size += len(block)
            decoder.decode(b"", final=True)
    except OSError as error:
        raise BadText(
            f"cannot read the text {file}: {error.strerror}.\n  give a UTF-8 file: --text FILE"
        ) from None
    except UnicodeDecodeError as error:
        raise BadText(
            f"the text {file} is not UTF-8: byte {error.object[error.start]:#04x} at about"
            f" {size + error.start:,}.\n"
            f"  convert it: iconv -f LATIN1 -t UTF-8 {file} > utf8.txt"
        ) from None
    if size <= len(BOM) and not file.read_bytes().removeprefix(BOM):
        raise BadText(f"the text {file} is empty.\n  {GIVE}")
    return size


def _begins_with_bom(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(len(BOM)) == BOM


def _lines(file: Path) -> Iterator[str]:
    """About a million characters at a time, cut at the ends of lines where there are some, else anywhere."""
    with file.open(encoding="utf-8-sig", newline="") as opened:
        held = ""
        while block := opened.read(BLOCK):
            held += block
            cut = held.rfind("\n") + 1 or len(held)
            yield held[:cut]
            held = held[cut:]
        if held:
            yield held


def _spread(starts: list[int], most: int) -> list[int]:
    """At most so many of them, evenly from beginning to end."""
    if len(starts) <= most:
        return starts
    return [starts[i * len(starts) // most] for i in range(most)]
