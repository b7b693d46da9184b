"""The map of the rooms: imports go downwards only, and core and listing load no torch."""

import ast
import subprocess
import sys
from pathlib import Path

SRC = Path(__file__).parents[1] / "src" / "untrained"

MAY_IMPORT = {
    "core": set(),
    "nn": {"core"},
    "spaces": {"core", "nn"},
    "metrics": {"core", "nn"},
    "strategies": {"core"},
    "benchmarks": {"core"},
    "studies": {"core"},
    "training": {"core", "nn"},
    "apps": {"core", "nn", "spaces", "metrics", "strategies", "benchmarks", "studies", "training"},
}
TOP = {"__init__", "__main__", "testing"}  # files beside the rooms; these may look into any


def streets():
    """(from room, to room, file) of every import inside the package, TYPE_CHECKING ones included."""
    for path in SRC.rglob("*.py"):
        room = path.relative_to(SRC).parts[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            for name in names:
                parts = name.split(".")
                if parts[0] == "untrained" and len(parts) > 1 and room.removesuffix(".py") not in TOP:
                    yield room, parts[1], path.relative_to(SRC)


def test_every_folder_is_a_room_on_the_map():
    rooms = {p.name for p in SRC.iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert rooms == set(MAY_IMPORT)


def test_rooms_import_only_downwards():
    inside = {(a, b, f) for a, b, f in streets() if b in MAY_IMPORT}
    wrong = [(a, b, str(f)) for a, b, f in inside if a != b and b not in MAY_IMPORT[a]]
    assert len(inside) > 50, "the reader of imports finds nothing"
    assert not wrong, f"not allowed: {wrong}; see MAY_IMPORT"


def test_private_files_are_private_to_their_room():
    wrong = []
    for path in SRC.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("untrained."):
                parts = [*node.module.split(".")[1:], *(alias.name for alias in node.names)]
                private = [p for p in parts[1:] if p.startswith("_") and not p.startswith("__")]
                if private and path.relative_to(SRC).parts[0] != parts[0]:
                    wrong.append((str(path.relative_to(SRC)), private))
    assert not wrong


def test_core_and_listing_load_no_torch():
    code = (
        "import sys, untrained, untrained.core.benchmark, untrained.core.study, untrained.core.statistics;"
        "from untrained.core import registry;"
        "[registry.summary(k, n) for k in registry.ROOMS for n in registry.names(k)];"
        "print('torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_no_path_of_the_shared_data_in_the_package():
    assert not [p for p in SRC.rglob("*.py") if "shared/" in p.read_text(encoding="utf-8")]
