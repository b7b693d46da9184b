"""Bytes as a tokenizer of transformers: ids are the bytes, and it survives its own files."""

import pytest

from untrained.core.bytes import BOS, EOS, MASK, PAD, VOCABULARY

pytest.importorskip("transformers")

TEXT = "Héllo\n  wörld\t你好 \x00 🎉 it's 1.5"


def test_ids_are_the_bytes_of_utf_8_and_come_back():
    from untrained.nn.byte_tokenizer import byte_tokenizer

    made = byte_tokenizer()
    ids = made(TEXT)["input_ids"]
    assert ids == list(TEXT.encode())
    assert made.decode(ids) == TEXT
    assert len(made) == VOCABULARY
    assert (made.pad_token_id, made.bos_token_id, made.eos_token_id, made.mask_token_id) == (
        PAD,
        BOS,
        EOS,
        MASK,
    )


def test_every_byte_has_a_token_of_its_own():
    from tokenizers.pre_tokenizers import ByteLevel

    from untrained.nn.byte_tokenizer import byte_tokenizer

    names = byte_tokenizer().convert_ids_to_tokens(list(range(256)))
    assert set(names) == set(ByteLevel.alphabet())


def test_what_is_saved_loads_as_an_ordinary_tokenizer(tmp_path):
    from transformers import AutoTokenizer

    from untrained.nn.byte_tokenizer import byte_tokenizer

    byte_tokenizer().save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded(TEXT)["input_ids"] == list(TEXT.encode())
    assert loaded.decode(loaded(TEXT)["input_ids"]) == TEXT
    assert loaded.pad_token_id == PAD
