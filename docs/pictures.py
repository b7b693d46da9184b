"""Makes the pictures of the README: a search, its report, and what a browser shows of it.

    python docs/pictures.py [--trials 600] [-o docs/pictures]

Needs Chromium with its driver. The search is the same every time; letters depend on the machine's fonts.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from io import BytesIO
from pathlib import Path

from PIL import Image

import untrained as ut
from untrained.apps.report.findings import from_study
from untrained.apps.report.html import html

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "browser"))
from conftest import Browser, launched  # the window that the tests look through

SIZE = (1000, 1330)  # CSS pixels: facts, winner and front of a report
COLOURS = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trials", type=int, default=600)
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parent / "pictures")
    asked = parser.parse_args()
    asked.output.mkdir(exist_ok=True)
    study = ut.search(
        "bert_encoder",
        maximize="rank_and_reuse",
        minimize="params",
        where="params <= 1.2e7",
        trials=asked.trials,
    )
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        page.write_text(html(from_study(study)), encoding="utf-8")
        driver = launched(Path(folder) / "profile")
        if isinstance(driver, str):
            sys.exit(driver)
        try:
            browser = Browser(driver, None)
            for theme in ("light", "dark"):
                browser.open(page, size=SIZE, theme=theme)
                path = asked.output / f"report-{theme}.png"
                small(driver.get_screenshot_as_png()).save(path, optimize=True)
                print(f"{path}: {path.stat().st_size / 1024:.0f} KiB")
        finally:
            driver.quit()


def small(png: bytes) -> Image.Image:
    """The picture in few colours, a third of its size."""
    return Image.open(BytesIO(png)).convert("RGB").quantize(COLOURS)


if __name__ == "__main__":
    main()
