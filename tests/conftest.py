"""What holds for every test, so that it ends the same on a busy machine."""

import os

from hypothesis import settings

# Where several processes share the tests (`make test`), each computes with one thread, as more would wait for
# each other. What is measured or trained has one thread anyway, unless a test asks for more.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"  # read when torch and numpy are loaded; subprocesses inherit it

settings.register_profile("untrained", deadline=None)  # of a time no test of ours speaks
settings.load_profile("untrained")
