"""Numbers that take some training: one file each."""
