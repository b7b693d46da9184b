"""The text that our benchmarks are trained on: two pinned files, and a tokenizer that is in the package."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from untrained.apps.making.families import Text
from untrained.benchmarks import SHIPPED, cache
from untrained.core.errors import BadData
from untrained.training.data.language import Language, from_text
from untrained.training.data.tokenizer import tokenizer

HELD_OUT = 0.1  # the last part of both texts, one after the other
TOKENIZER = "wikitext2_bpe_2048.json"
SOURCE = "https://github.com/pytorch/examples, word_language_model/data/wikitext-2"
LICENCE = "CC BY-SA 3.0"


def described(texts: Sequence[Text]) -> dict[str, Any]:
    """What a store remembers of it."""
    return {
        "text": {t.name: t.sha256 for t in texts},
        "source": SOURCE,
        "licence": LICENCE,
        "held_out": HELD_OUT,
        "tokenizer": {TOKENIZER: hashlib.sha256((SHIPPED / TOKENIZER).read_bytes()).hexdigest()},
    }


def corpus(texts: Sequence[Text], data: str | Path | None = None) -> Language:
    """The tokens to train on and to examine on; raises BadData for files that are missing or others."""
    return _tokens("".join(_read(text, _roots(data)) for text in texts))


@lru_cache(maxsize=1)
def _tokens(text: str) -> Language:
    return from_text(text, tokenizer(SHIPPED / TOKENIZER), held_out=HELD_OUT, source="WikiText-2")


def _roots(data: str | Path | None) -> list[Path]:
    """Where the files are looked for."""
    root = cache() if data is None else Path(data).expanduser()
    return [root, root / "text"]


def _read(text: Text, roots: list[Path]) -> str:
    path = next((root / text.name for root in roots if (root / text.name).is_file()), None)
    if path is None:
        raise BadData(
            f"the text {text.name} is not there.\n"
            f"  looked in: {', '.join(map(str, roots))}\n"
            f"  it is {text.theirs} of {SOURCE} ({LICENCE})\n"
            "  name the folder that has it: --data DIR"
        )
    raw = path.read_bytes()
    found = hashlib.sha256(raw).hexdigest()
    if found != text.sha256:
        raise BadData(
            f"{path} is another text than the one that the benchmark was made with.\n"
            f"  SHA-256 expected: {text.sha256}\n"
            f"  SHA-256 found:    {found}"
        )
    return raw.decode("utf-8")
