"""Pretrained decoders on disk: which families, what is in them, what a text says of them, how to cut them."""
