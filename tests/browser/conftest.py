"""A real browser for the pages that we make: Debian's Chromium, and axe-core to judge what it shows.

CI installs both (see `.ci/run`) and names axe-core in UNTRAINED_AXE. Where they are not there, the tests skip
and say so.
"""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

AXE = "UNTRAINED_AXE"  # path of axe.min.js
PHONE = (390, 844)  # CSS pixels
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--hide-scrollbars",
)


class Browser:
    """One window, with what the tests ask it; `driver` is Selenium's own for everything else."""

    def __init__(self, driver: Any, axe: str | None) -> None:
        self.driver, self._axe = driver, axe
        self.requests: list[str] = []
        """every address that was asked for since the last `open`"""
        self.errors: list[str] = []
        """every line of the console that is no mere information since the last `open`"""

    def open(self, address: str | Path, *, size: tuple[int, int] = (1280, 900), theme: str = "light") -> None:
        """Shows a file or an address in a window of that size, as a reader with that theme sees it."""
        self.heard()
        self.requests, self.errors = [], []
        self.resize(size)
        self.theme(theme)
        self.driver.get(address.resolve().as_uri() if isinstance(address, Path) else address)

    def resize(self, size: tuple[int, int]) -> None:
        """Sets the size of what is shown; a window of Chromium's own cannot be as narrow as a phone."""
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def theme(self, name: str) -> None:
        """`light` or `dark`, as the reader's system says it."""
        features = [{"name": "prefers-color-scheme", "value": name}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def run(self, script: str, *args: Any) -> Any:
        """What a script returns in the page."""
        return self.driver.execute_script(script, *args)

    def heard(self) -> None:
        """Takes in what console and network have said so far; afterwards see `errors` and `requests`."""
        for line in self.driver.get_log("browser"):
            if line["level"] in ("SEVERE", "WARNING"):
                self.errors.append(line["message"])
        for line in self.driver.get_log("performance"):
            message = json.loads(line["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])

    def sideways(self) -> int:
        """By how many pixels the page is wider than the window."""
        wide: int = self.run(
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return wide

    def violations(self) -> list[str]:
        """Serious and critical findings of axe-core, one line each. Skips where axe-core is not there."""
        if self._axe is None:
            pytest.skip(f"axe-core is not there: npm pack axe-core, and name its axe.min.js in {AXE}")
        self.run(self._axe)
        found = self.driver.execute_async_script(
            "const done = arguments[arguments.length - 1];"
            "axe.run(document, {resultTypes: ['violations']}).then(r => done(r.violations), e => done([{"
            "impact: 'critical', id: String(e), nodes: []}]));"
        )
        return [
            f"{one['id']}: {node['target']} {node.get('failureSummary', '')}"
            for one in found
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"] or [{"target": "?"}]
        ]

    def picture(self, path: Path) -> None:
        """A screenshot of the whole page, for people."""
        height = self.run("return document.documentElement.scrollHeight")
        width = self.run("return document.documentElement.clientWidth")
        self.resize((width, min(height, 12_000)))
        self.driver.save_screenshot(str(path))


def _found(*names: str) -> str | None:
    return next((path for name in names if (path := shutil.which(name))), None)


def launched(profile: Path) -> Any:
    """Selenium's driver of a headless Chromium, or the reason why there is none."""
    try:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service
    except ImportError:
        return "selenium is not installed"
    program, driver = _found("chromium", "chromium-browser", "google-chrome"), _found("chromedriver")
    if program is None or driver is None:
        return "no Chromium with its driver: apt-get install chromium chromium-driver"
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in FLAGS:
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={profile}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    made = webdriver.Chrome(options=options, service=Service(executable_path=driver))
    made.set_script_timeout(60)
    return made


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Selenium's driver of one headless Chromium with a profile of its own."""
    made = launched(tmp_path_factory.mktemp("chromium"))
    if isinstance(made, str):
        pytest.skip(made)
    try:
        yield made
    finally:
        made.quit()


@pytest.fixture
def browser(chromium: Any) -> Iterator[Browser]:
    """The browser at an empty page; afterwards it is at an empty page again."""
    path = os.environ.get(AXE)
    axe = Path(path).read_text(encoding="utf-8") if path else None
    chromium.get("about:blank")
    yield Browser(chromium, axe)
    chromium.get("about:blank")
