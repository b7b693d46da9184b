"""Makes the pictures of README and site: a report and the dashboard, of real searches, in a real browser.

    python docs/screenshots.py [-o docs/images]

Needs Chromium with its driver, selenium and pillow. Each picture has 256 colours, which keeps it small.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

SEARCH = ["search", "gpt_decoder", "--maximize", "rank_and_reuse", "--minimize", "params"]
SEARCH += ["--where", "params <= 4e7"]
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars")
SIZE = (1120, 1000)  # CSS pixels
PHONE = (390, 844)
LARGEST = 150_000  # bytes


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


def browser(profile: Path) -> Any:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for flag in [*FLAGS, f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    return webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))


def until(holds: Callable[[], Any], seconds: float = 120.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := holds()):
        if time.monotonic() > end:
            raise SystemExit("it did not come")
        time.sleep(0.2)
    return found


def seen(
    driver: Any, address: str, *, size: tuple[int, int] = SIZE, theme: str = "light", at: str = ""
) -> None:
    """Opens an address in a window of that size and theme; `at` is a selector to scroll to."""
    media = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    driver.get(address)
    time.sleep(1)
    if at:
        driver.execute_script("document.querySelector(arguments[0]).scrollIntoView()", at)
        time.sleep(0.3)


def save(driver: Any, path: Path) -> None:
    picture = Image.open(BytesIO(driver.get_screenshot_as_png())).convert("RGB")
    few = picture.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    few.save(path, optimize=True)
    size = path.stat().st_size
    print(f"{path}: {size / 1000:.0f} kB")
    if size > LARGEST:
        raise SystemExit(f"{path} is too large")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parent / "images")
    out = parser.parse_args().output
    out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        store, report = "decoders.db", place / "report.html"
        more = ["--store", store, "--study"]
        untrained(place, *SEARCH, "--trials", "300", *more, "front", "--strategy", "nsga2:population=20")
        untrained(place, "report", store, "--study", "front", "-o", str(report))
        driver = browser(place / "profile")
        running = untrained(place, *SEARCH, "--trials", "2000", *more, "night", wait=False)
        time.sleep(20)
        page = untrained(place, "dashboard", store, "--no-open", "--json", wait=False)
        try:
            pictures(driver, page, report, out)
        finally:
            driver.quit()
            for process in (page, running):
                process.terminate()
                process.wait()


def pictures(driver: Any, page: subprocess.Popen[str], report: Path, out: Path) -> None:
    seen(driver, report.as_uri())
    save(driver, out / "report.png")
    seen(driver, report.as_uri(), at="main > section:nth-of-type(2)")
    save(driver, out / "report-front.png")
    assert page.stdout is not None
    said = ""
    while not said.endswith("}\n"):
        said += page.stdout.readline()
    url = json.loads(said)["url"]
    base = url.partition("/?")[0]
    driver.get(url)
    until(lambda: driver.find_elements("css selector", ".studies"))
    seen(driver, f"{base}/study?study=night")
    until(lambda: driver.find_elements("css selector", "[data-part='pareto'] .plot"))
    save(driver, out / "dashboard.png")
    seen(driver, f"{base}/study?study=front", theme="dark", at="[data-part='pareto']")
    save(driver, out / "dashboard-dark.png")
    seen(driver, f"{base}/study?study=front", size=PHONE)
    save(driver, out / "dashboard-phone.png")


if __name__ == "__main__":
    main()
