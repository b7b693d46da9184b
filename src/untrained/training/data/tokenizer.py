"""From text to token ids: bytes, or any tokenizer of the package `tokenizers`."""

from __future__ import annotations

import hashlib
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from untrained.core import bytes as byte
from untrained.core.errors import MissingExtra, UsageError
from untrained.core.files import whole
from untrained.nn.byte_tokenizer import byte_tokenizer, tokenizer_json

Ids = npt.NDArray[Any]
BYTES = "bytes"  # the name of the tokenizer that needs no file
FILE = "tokenizer.json"
BESIDE = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja")


class Tokenizer(Protocol):
    """What turns text into ids from 0 to `vocabulary` - 1; special ids are None where there are none."""

    name: str
    vocabulary: int
    pad: int | None
    bos: int | None
    eos: int | None
    mask: int | None

    def encode(self, text: str) -> Ids:
        """The ids of a text, with no special ones added."""

    def save(self, folder: Path, *, for_transformers: bool = False) -> None:
        """Writes a tokenizer.json, with what AutoTokenizer reads besides where that is wanted."""


class Bytes:
    """The bytes of UTF-8; needs no package and no file."""

    name = BYTES
    vocabulary = byte.VOCABULARY
    pad: int | None = byte.PAD
    bos: int | None = byte.BOS
    eos: int | None = byte.EOS
    mask: int | None = byte.MASK

    def encode(self, text: str) -> Ids:
        return np.frombuffer(text.encode(), dtype=np.uint8)

    def save(self, folder: Path, *, for_transformers: bool = False) -> None:
        if for_transformers:
            byte_tokenizer().save_pretrained(folder)
            return
        with whole(folder / FILE) as part:
            part.write_text(tokenizer_json(), encoding="utf-8")


class Given:
    """Stands for a tokenizer whose ids are there already."""

    name = "ids"
    pad: int | None = None
    bos: int | None = None
    eos: int | None = None
    mask: int | None = None

    def __init__(self, vocabulary: int) -> None:
        self.vocabulary = vocabulary

    def encode(self, text: str) -> Ids:
        raise UsageError("there is no tokenizer for more text, as the ids were given")

    def save(self, folder: Path, *, for_transformers: bool = False) -> None:
        """Nothing, as there is nothing to save."""


class FromFile:
    """A tokenizer.json, or that of a Hugging Face model directory."""

    def __init__(self, path: Path) -> None:
        file = path / FILE if path.is_dir() else path
        self._folder = file.parent
        try:
            self._made: Any = import_module("tokenizers").Tokenizer.from_file(str(file))
            self._text = file.read_text(encoding="utf-8")
        except ImportError:
            raise MissingExtra("reading a tokenizer", "tokenizers", "training") from None
        except Exception as error:  # whatever the package raises, the file is at fault
            said = str(error).strip().partition("\n")[0] or type(error).__name__
            raise UsageError(
                f"cannot read the tokenizer {file}: {said}\n"
                f"  give a {FILE} or a model directory that has one, or take bytes: --tokenizer {BYTES}"
            ) from None
        self._made.no_padding()
        self._made.no_truncation()
        self.name = f"{FILE} {hashlib.sha256(self._text.encode()).hexdigest()[:16]}"
        self.vocabulary = int(self._made.get_vocab_size(with_added_tokens=True))
        self.pad, self.bos = self._one("pad"), self._one("bos", "cls", "s")
        self.eos, self.mask = self._one("eos", "sep", "/s", "endoftext"), self._one("mask")

    def encode(self, text: str) -> Ids:
        return np.array(self._made.encode(text, add_special_tokens=False).ids, dtype=np.int32)

    def save(self, folder: Path, *, for_transformers: bool = False) -> None:
        with whole(folder / FILE) as part:
            part.write_text(self._text, encoding="utf-8")
        for name in BESIDE if for_transformers else ():
            if (self._folder / name).is_file():
                with whole(folder / name) as part:
                    part.write_bytes((self._folder / name).read_bytes())

    def _one(self, *names: str) -> int | None:
        """The id of a special token by what tokenizers call it: <pad>, [PAD], <|pad|>."""
        for name in names:
            for form in (f"<{name}>", f"[{name.upper()}]", f"<|{name}|>", f"<|{name}_token|>"):
                found = self._made.token_to_id(form)
                if found is not None:
                    return int(found)
        return None


def tokenizer(name: str | Path | None = None) -> Tokenizer:
    """`bytes`, a tokenizer.json, or a directory that has one; raises UsageError for what cannot be read."""
    if name is None or str(name) == BYTES:
        return Bytes()
    path = Path(name).expanduser()
    if not path.exists():
        raise UsageError(
            f"there is no tokenizer {name}.\n"
            f"  give a {FILE} or a model directory that has one, or take bytes: --tokenizer {BYTES}"
        )
    return FromFile(path)
