"""Numbers about an architecture without training it."""
