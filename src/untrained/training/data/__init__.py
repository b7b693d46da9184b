"""What networks are trained on: texts and labelled texts, as token ids."""
