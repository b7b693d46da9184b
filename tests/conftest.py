"""What holds for every test, so that it ends the same on a busy machine."""

import os

from hypothesis import HealthCheck, settings

# Where several processes share the tests (`make test`), each computes with one thread, as more would wait for
# each other. What is measured or trained has one thread anyway, unless a test asks for more.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"  # read when torch and numpy are loaded; subprocesses inherit it

# Of the time that an example takes, no test of ours speaks.
settings.register_profile("untrained", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untrained")
