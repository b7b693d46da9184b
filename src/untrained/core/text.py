"""Text as word numbers. Proxies need only that real words come in a real order."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from untrained.core.errors import BadText

LARGEST = 16 * 2**20  # bytes read from a file; far more than any proxy looks at
RARE = 0  # number of every word outside the vocabulary

# Markup such as <unk>, words, single marks, single CJK characters (which no spaces separate), line ends.
_CJK = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"<\w+>|[{_CJK}]|[^\W_{_CJK}]+|[^\w\s]|\n")


@dataclass(frozen=True)
class Corpus:
    """A text and the words in it."""

    text: str
    source: str

    @cached_property
    def sha256(self) -> str:
        """Of the UTF-8 bytes that were read; empty for the text that Python ships."""
        return "" if self.source == "" else hashlib.sha256(self.text.encode()).hexdigest()

    @cached_property
    def words(self) -> list[str]:
        return _WORD.findall(self.text)

    @cached_property
    def _codes(self) -> npt.NDArray[np.int64]:
        """Each word as its rank by frequency, from 1; ties in alphabetical order."""
        ranked = sorted(Counter(self.words).items(), key=lambda item: (-item[1], item[0]))
        rank = {word: i for i, (word, _) in enumerate(ranked, start=1)}
        return np.fromiter((rank[w] for w in self.words), dtype=np.int64, count=len(self.words))

    def columns(
        self, vocabulary: int, sequences: int, length: int, *, shift: int = 0
    ) -> npt.NDArray[np.int64]:
        """Ids (B, T): the text cut into B equal columns, T words from each, `shift` words further down.

        Ids run over the `vocabulary` most frequent words, all others being `RARE`. Raises BadText where
        the text is too short, with the number of words it has and needs.
        """
        column = len(self._codes) // sequences
        if column < length:
            raise BadText(
                f"{self.name} is too short: {len(self._codes)} words, and {sequences} sequences of {length}"
                f" take {sequences * length}.\n  give a longer text: --text FILE"
            )
        start = shift % (column - length + 1)
        table = self._codes[: column * sequences].reshape(sequences, column)[:, start : start + length]
        return np.where(table < vocabulary, table, RARE)

    @property
    def name(self) -> str:
        return f"the text {self.source}" if self.source else "the text that Python ships"


def load(path: str | Path | None = None) -> Corpus:
    """A UTF-8 text file; without one, the English help topics that Python itself ships.

    Raises BadText for a file that is missing, empty, binary or not UTF-8. Of a huge file the first
    16 MiB are read.
    """
    return _shipped() if path is None else _read(Path(path))


@cache
def _shipped() -> Corpus:
    from pydoc_data.topics import topics

    return Corpus("\n".join(topics[key] for key in sorted(topics)), "")


def _read(path: Path) -> Corpus:
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST)
            cut = bool(file.read(1))
    except OSError as error:
        raise BadText(
            f"cannot read the text {path}: {error.strerror}.\n  give a UTF-8 file: --text FILE"
        ) from None
    if not raw.strip():
        raise BadText(f"the text {path} is empty.\n  give a UTF-8 file with some thousand words: --text FILE")
    if b"\0" in raw[:65536]:
        raise BadText(
            f"the text {path} is binary (it holds zero bytes).\n  give plain text in UTF-8: --text FILE"
        )
    try:
        # A file cut in mid-character loses up to three bytes, which is no error.
        text = raw.decode("utf-8", errors="strict") if not cut else _decode_cut(raw)
    except UnicodeDecodeError as error:
        raise BadText(
            f"the text {path} is not UTF-8: byte {error.object[error.start]:#04x} at {error.start}.\n"
            f"  convert it: iconv -f LATIN1 -t UTF-8 {path} > utf8.txt"
        ) from None
    return Corpus(text.removeprefix("\ufeff"), str(path))


def _decode_cut(raw: bytes) -> str:
    for end in range(4):
        try:
            return raw[: len(raw) - end].decode("utf-8")
        except UnicodeDecodeError as error:
            if error.start < len(raw) - 4:
                raise
    return raw.decode("utf-8")
