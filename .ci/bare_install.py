"""Run by the Python of an installation without extras: every module imports, the first commands work."""

import pkgutil
import subprocess
import sys
from importlib import import_module

import untrained

names = [m.name for m in pkgutil.walk_packages(untrained.__path__, "untrained.")]
for name in names:
    if not name.endswith("__main__"):
        import_module(name)
for command in (["--help"], ["list"], ["show", "fading_memory"], ["sample", "rnn_cell", "-n", "1"]):
    subprocess.run([sys.executable, "-m", "untrained", *command], check=True, stdout=subprocess.DEVNULL)
print(f"bare install: {len(names)} modules import, the first commands work")
