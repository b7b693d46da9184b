"""The live page in a real browser, with a real search."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import Served, fill

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytestmark = pytest.mark.timeout(180)

SEARCH = ["search", "gpt_decoder", "--maximize", "rank_and_reuse", "--minimize", "params"]
SEARCH += ["--where", "params <= 4e7"]


def search(store: Path, *more: str) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "untrained", *SEARCH, "--store", str(store), *more]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    path = tmp_path_factory.mktemp("stores") / "s.db"
    assert search(path, "--study", "front", "--trials", "60").wait(120) == 0
    assert search(path, "--study", "chance", "--trials", "40", "--strategy", "random_search").wait(120) == 0
    with Served(path) as found:
        yield found


@pytest.fixture
def page(browser: Any, served: Served) -> Any:
    """The browser, let in."""
    browser.open(served.url)
    until(lambda: browser.run("return document.querySelector('h1')?.textContent") == "Searches")
    return browser


def until(holds: Callable[[], Any], seconds: float = 60.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.1)
    return found


def title(browser: Any) -> Callable[[], str]:
    return lambda: browser.run("return document.querySelector('h1')?.textContent") or ""


def test_the_address_lets_in_and_forgets_the_token(page: Any, served: Served) -> None:
    assert page.driver.current_url == f"{served.base}/"
    assert page.run("return document.cookie") == ""  # scripts do not see it
    page.heard()
    assert page.errors == []
    assert all(address.startswith((served.base, "data:")) for address in page.requests)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 900), (390, 844)], ids=["wide", "phone"])
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/study?study=front",
        "/trial?study=front&number=1",
        "/compare?a=front&b=chance",
        "/study?study=no",
    ],
)
def test_pages_are_sound_in_both_themes_and_on_a_phone(
    page: Any, served: Served, path: str, size: tuple[int, int], theme: str
) -> None:
    page.open(served.base + path, size=size, theme=theme)
    paper = page.run("return getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(255, 255, 255)" if theme == "light" else "rgb(20, 23, 26)")
    assert page.sideways() == 0
    page.heard()
    expected = ["404"] if path.endswith("=no") else []
    assert [word for line in page.errors for word in expected if word in line] == expected
    assert len(page.errors) == len(expected)
    assert page.violations() == []


def test_a_point_of_the_front_leads_to_its_architecture(page: Any, served: Served) -> None:
    page.open(f"{served.base}/study?study=front")
    marks = page.driver.find_elements("css selector", "[data-part='pareto'] a.mark")
    assert len(marks) > 3
    said = marks[2].get_attribute("aria-label")
    page.run("arguments[0].click()", marks[2])
    until(lambda: "/trial" in page.driver.current_url)
    assert title(page)() == said.split(":")[0]
    assert page.driver.find_elements("css selector", "table.layers tbody tr")
    page.driver.find_element("css selector", ".back a").click()
    until(lambda: title(page)() == "front")


def test_the_theme_is_chosen_and_kept(page: Any, served: Served) -> None:
    page.open(f"{served.base}/study?study=front", theme="light")
    page.driver.find_element("css selector", "[data-theme-button]").click()
    page.open(f"{served.base}/")
    assert page.run("return getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
    page.driver.find_element("css selector", "[data-theme-button]").click()


def test_two_searches_are_chosen_and_drawn_in_one_plot(page: Any, served: Served) -> None:
    page.open(f"{served.base}/compare")
    chosen = page.driver.find_elements("css selector", "select")
    chosen[0].send_keys("front")
    chosen[1].send_keys("chance")
    page.driver.find_element("css selector", "form.choose button").click()
    until(lambda: len(page.driver.find_elements("css selector", ".plot path.way")) == 2)


def test_it_shows_a_search_while_it_runs_and_its_buttons_work(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    running = search(path, "--trials", "100000")
    try:
        until(path.exists)
        with Served(path) as served:
            browser.open(served.url)
            until(lambda: browser.driver.find_elements("link text", "search"))
            browser.driver.find_element("link text", "search").click()
            until(lambda: title(browser)() == "search")

            def shown() -> int:
                said = browser.run("return document.querySelector('[data-live=trials]').textContent")
                return int(said.replace(",", ""))

            def drawn() -> str:
                return str(browser.run("return document.querySelector('[data-part=pareto]').innerHTML"))

            until(lambda: browser.driver.find_elements("css selector", "[data-part='pareto'] .plot"))
            first, picture = shown(), drawn()
            until(lambda: shown() > first)
            until(lambda: drawn() != picture)
            field = browser.driver.find_element("name", "trials")
            field.clear()
            field.send_keys("123456")
            field.submit()
            until(lambda: "of 123,456" in browser.run("return document.body.textContent"))
            until(lambda: browser.driver.find_elements("css selector", "form[action='/stop'] button"))[
                0
            ].click()
            until(lambda: "stopped before its end" in browser.run("return document.body.textContent"))
            assert running.wait(30) == 130  # as after Ctrl-C
            assert browser.sideways() == 0
            browser.heard()
            assert browser.errors == []
    finally:
        running.kill()
        running.wait()


def test_names_that_are_scripts_are_shown_and_not_run(browser: Any, tmp_path: Path) -> None:
    mark = "<img src=x onerror=\"document.title='bad'\">"
    fill(tmp_path / "s.db", mark, 60, mark=mark)
    with Served(tmp_path / "s.db") as served:
        browser.open(served.url)
        until(lambda: title(browser)() == "Searches")
        browser.driver.find_element("css selector", ".studies a").click()
        until(lambda: title(browser)() == mark)
        browser.run("arguments[0].click()", browser.driver.find_element("css selector", "td.id a"))
        until(lambda: "/trial" in browser.driver.current_url)
        assert mark in browser.run("return document.body.textContent")
        assert browser.driver.title != "bad"
        assert browser.run("return document.images.length") == 0
        browser.heard()
        assert browser.errors == []


def test_a_server_that_has_ended_is_told_of(browser: Any, tmp_path: Path) -> None:
    fill(tmp_path / "s.db", "one", 30)
    with Served(tmp_path / "s.db") as served:
        browser.open(served.url)
        until(lambda: title(browser)() == "Searches")
    until(
        lambda: (
            "does not answer" in browser.run("return document.querySelector('[data-trouble]').textContent")
        )
    )
