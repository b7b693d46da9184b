"""`python -m untrained` is the command `untrained`."""

from untrained.apps.cli import main

if __name__ == "__main__":  # other processes that this one starts import this file too
    main()
