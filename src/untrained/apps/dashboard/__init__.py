"""A live page about the studies of a store, on this machine: pip install 'untrained[dashboard]'."""
