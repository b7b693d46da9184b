"""Bytes as a Hugging Face tokenizer, which a model that was trained on bytes leaves with."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

from untrained.core.bytes import BOS, EOS, MASK, PAD, SPECIALS
from untrained.core.errors import MissingExtra


def tokenizer_json() -> str:
    """The text of a tokenizer.json: 256 bytes whose ids are their values, then `core.bytes.SPECIALS`.

    Encoding adds no special token. A special token's name within a text is read as that token.
    """
    return json.dumps(
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [_special(256 + i, name) for i, name in enumerate(SPECIALS)],
            "normalizer": None,
            "pre_tokenizer": _level(add_prefix_space=False),
            "post_processor": None,
            "decoder": _level(add_prefix_space=False),
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": None,
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": False,
                "byte_fallback": False,
                "ignore_merges": False,
                "vocab": {letter: byte for byte, letter in enumerate(_letters())},
                "merges": [],
            },
        },
        ensure_ascii=False,
        indent=1,
    )


def byte_tokenizer() -> Any:
    """A `PreTrainedTokenizerFast` of bytes, to be kept by `save_pretrained`; raises MissingExtra."""
    try:
        made = import_module("transformers").PreTrainedTokenizerFast
        parsed = import_module("tokenizers").Tokenizer.from_str(tokenizer_json())
    except ImportError as error:
        raise MissingExtra("a tokenizer for an exported model", error.name or "transformers", "hf") from None
    pad, bos, eos, mask = SPECIALS
    assert [parsed.token_to_id(t) for t in SPECIALS] == [PAD, BOS, EOS, MASK]
    return made(
        tokenizer_object=parsed,
        pad_token=pad,
        bos_token=bos,
        cls_token=bos,
        eos_token=eos,
        sep_token=eos,
        mask_token=mask,
        clean_up_tokenization_spaces=False,
    )


def _letters() -> list[str]:
    """How `tokenizers` writes each byte: by its own character where it prints, else by one from U+0100 on."""
    shown = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in shown else next(others)) for byte in range(256)]


def _level(*, add_prefix_space: bool) -> dict[str, Any]:
    return {
        "type": "ByteLevel",
        "add_prefix_space": add_prefix_space,
        "trim_offsets": True,
        "use_regex": False,
    }


def _special(token: int, name: str) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": token, "content": name, **flags, "special": True}
