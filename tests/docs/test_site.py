"""The site is built with warnings as errors, and asks nobody else for anything."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from blocks import ROOT

from untrained.core import registry
from untrained.metrics.features import DESCRIPTIONS

pytest.importorskip("material")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, env=env, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_plug_in_and_command_has_its_place(site: Path) -> None:
    for kind, page in (("proxy", "proxies"), ("space", "spaces"), ("strategy", "strategies")):
        text = (site / "reference" / f"{page}.html").read_text(encoding="utf-8")
        for name in registry.names(kind):
            assert f'id="{name}"' in text
    assert "untrained studies export" in (site / "reference" / "commands.html").read_text(encoding="utf-8")
    features = (site / "reference" / "features.html").read_text(encoding="utf-8")
    assert all(f"<code>{name}</code>" in features for name in DESCRIPTIONS)
    assert 'id="search"' in (site / "reference" / "python.html").read_text(encoding="utf-8")


def test_it_loads_nothing_from_other_hosts(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 15
    foreign = re.compile(
        r"""<(?:script|img|iframe|source)[^>]+src=["']?(?:https?:)?//|<link(?![^>]+canonical)[^>]+href=["']?(?:https?:)?//"""
    )
    for page in pages:
        assert not foreign.search(page.read_text(encoding="utf-8")), page
    styles = "".join(p.read_text(encoding="utf-8") for p in site.rglob("*.css"))
    assert not re.search(r"url\(['\"]?(?:https?:)?//|@import", styles)
