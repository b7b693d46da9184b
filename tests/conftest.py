"""Where several processes share the tests (`make test`), each computes with one thread.

More would wait for each other. What is measured or trained has one thread anyway, unless a test asks for
more.
"""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"  # read when torch and numpy are loaded; subprocesses inherit it
