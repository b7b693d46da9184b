"""Run by the Python of an installation without extras: every module that needs none imports, and
the first commands work."""

import pkgutil
import subprocess
import sys
from importlib import import_module

import untrained

# Modules of which the whole point is an extra, and what they ask for first. Torch itself brings jinja2.
EXTRAS = {"untrained.apps.dashboard.app": "starlette"}
EXTRAS |= {
    f"untrained.nn.hf.{name}": "transformers"
    for name in ("as_decoder", "as_encoder", "as_rnn", "models", "shell")
}

names = [m.name for m in pkgutil.walk_packages(untrained.__path__, "untrained.")]
for name in names:
    if name in EXTRAS:
        try:
            import_module(name)
        except ModuleNotFoundError as error:
            if error.name != EXTRAS[name]:
                raise
        else:
            raise SystemExit(f"{name} imports without {EXTRAS[name]}: is this a bare installation?")
    elif not name.endswith("__main__"):
        import_module(name)
for command in (["--help"], ["list"], ["show", "fading_memory"], ["sample", "rnn_cell", "-n", "1"]):
    subprocess.run([sys.executable, "-m", "untrained", *command], check=True, stdout=subprocess.DEVNULL)
print(f"bare install: {len(names)} modules import, the first commands work")
