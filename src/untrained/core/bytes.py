"""The vocabulary that needs no training: a token is a byte of UTF-8, and its id is the byte's value."""

from __future__ import annotations

SPECIALS = ("<pad>", "<bos>", "<eos>", "<mask>")
PAD, BOS, EOS, MASK = range(256, 256 + len(SPECIALS))
VOCABULARY = 256 + len(SPECIALS)  # tokens
