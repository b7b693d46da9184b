"""The winner leaves as a Hugging Face directory, checked by a process that loads it."""
