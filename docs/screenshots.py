"""Makes the pictures of the dashboard: a search that has ended and one that runs, in a real browser.

    python docs/screenshots.py [-o docs/pictures]

Needs Chromium with its driver; pictures.py makes those of the report.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pictures import small

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "browser"))
from conftest import PHONE, Browser, launched

SEARCH = ["search", "gpt_decoder", "--maximize", "rank_and_reuse", "--minimize", "params"]
SEARCH += ["--where", "params <= 4e7"]
SIZE = (1120, 1000)  # CSS pixels


def untrained(folder: Path, *words: str, wait: bool = True) -> subprocess.Popen[str]:
    """A command of ours in that folder, so that no path of this machine is in a picture."""
    process = subprocess.Popen(
        [sys.executable, "-m", "untrained", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=folder,
    )
    if wait and process.wait():
        raise SystemExit(f"untrained {' '.join(words)}: exit code {process.returncode}")
    return process


def until(holds: Callable[[], Any], seconds: float = 120.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := holds()):
        if time.monotonic() > end:
            raise SystemExit("it did not come")
        time.sleep(0.2)
    return found


def save(window: Browser, path: Path) -> None:
    small(window.driver.get_screenshot_as_png()).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parent / "pictures")
    out = parser.parse_args().output
    out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        more = ["--store", "decoders.db", "--study"]
        untrained(place, *SEARCH, "--trials", "300", *more, "front", "--strategy", "nsga2:population=20")
        driver = launched(place / "profile")
        if isinstance(driver, str):
            sys.exit(driver)
        running = untrained(place, *SEARCH, "--trials", "2000", *more, "night", wait=False)
        time.sleep(20)
        page = untrained(place, "dashboard", "decoders.db", "--no-open", "--json", wait=False)
        try:
            pictures(Browser(driver, None), page, out)
        finally:
            driver.quit()
            for process in (page, running):
                process.terminate()
                process.wait()


def pictures(window: Browser, page: subprocess.Popen[str], out: Path) -> None:
    assert page.stdout is not None
    said = ""
    while not said.endswith("}\n"):
        said += page.stdout.readline()
    url = json.loads(said)["url"]
    base, driver = url.partition("/?")[0], window.driver
    window.open(url)
    until(lambda: driver.find_elements("css selector", ".studies"))
    window.open(f"{base}/study?study=night", size=SIZE)
    until(lambda: driver.find_elements("css selector", "[data-part='pareto'] .plot"))
    save(window, out / "dashboard.png")
    window.open(f"{base}/study?study=front", size=SIZE, theme="dark")
    save(window, out / "dashboard-dark.png")
    window.open(f"{base}/study?study=front", size=PHONE)
    save(window, out / "dashboard-phone.png")


if __name__ == "__main__":
    main()
