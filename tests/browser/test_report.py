"""The report in a real browser: offline, in both themes, on a phone, by pointer and by keyboard."""

import sys
from pathlib import Path

import pytest
from conftest import PHONE

from untrained.apps import api


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a search of encoders with a front of several points."""
    pytest.importorskip("selenium")
    from untrained.apps.report.findings import from_study
    from untrained.apps.report.html import html

    study = api.search(
        "bert_encoder",
        maximize="depth_width_rank",
        minimize="params",
        where="params <= 1e7",
        strategy="random_search",
        trials=80,
    )
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(html(from_study(study)), encoding="utf-8")
    return path


def test_it_opens_offline_without_a_word_in_the_console(browser, report):
    browser.open(report)
    browser.heard()
    assert browser.errors == []
    assert [r for r in browser.requests if r.startswith(("http", "ws"))] == []
    assert browser.run("return document.title").startswith("Search of bert_encoder")


@pytest.mark.parametrize("size", [(1280, 900), PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_can_be_read(browser, report, theme, size):
    browser.open(report, size=size, theme=theme)
    browser.run("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert browser.sideways() <= 0
    assert browser.violations() == []
    dark = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert dark == ("rgb(20, 23, 26)" if theme == "dark" else "rgb(255, 255, 255)")


def test_a_point_of_the_front_leads_to_its_architecture(browser, report):
    browser.open(report)
    mark = browser.driver.find_element("css selector", ".plot a.mark")
    name = mark.get_attribute("aria-label").split(":")[0]
    browser.run("arguments[0].click()", mark)
    assert browser.run("return location.hash") == f"#a-{name}"
    card = browser.driver.find_element("css selector", ".card:target")
    assert name in card.text
    assert browser.run("return arguments[0].getBoundingClientRect().height", card) > 80


def test_pointing_at_a_dot_says_what_it_is(browser, report):
    from selenium.webdriver import ActionChains

    browser.open(report)
    area = browser.driver.find_element("css selector", ".plot .area")
    browser.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", area)
    x, y = browser.run(
        "const a = arguments[0], p = JSON.parse(a.querySelector('script').textContent).points[0];"
        "const b = a.getBoundingClientRect();"
        "return [p[0] / 100 * b.width - b.width / 2, p[1] / 100 * b.height - b.height / 2]",
        area,
    )
    ActionChains(browser.driver).move_to_element_with_offset(area, int(x), int(y)).perform()
    tip = browser.driver.find_element("css selector", ".plot .tip:not([hidden])")
    assert "depth_width_rank" in tip.text


def test_the_keyboard_reaches_the_points(browser, report):
    browser.open(report)
    mark = browser.driver.find_element("css selector", ".plot a.mark")
    browser.run("arguments[0].focus()", mark)
    tip = browser.driver.find_element("css selector", ".plot .tip:not([hidden])")
    assert tip.text == mark.get_attribute("aria-label")
    mark.send_keys("\n")
    assert browser.run("return location.hash").startswith("#a-")


def test_the_button_turns_the_theme_round(browser, report):
    browser.open(report, theme="light")
    button = browser.driver.find_element("css selector", "[data-theme-button]")
    colours = []
    for _ in range(2):
        button.click()
        colours.append(browser.run("return getComputedStyle(document.body).backgroundColor"))
    assert colours == ["rgb(20, 23, 26)", "rgb(255, 255, 255)"]


def test_on_paper_it_is_light_and_whole(browser, report):
    browser.open(report, theme="dark")
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert browser.run("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        shown = browser.run("return getComputedStyle(document.querySelector('button')).display")
        assert shown == "none"
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_a_script_in_a_name_does_nothing(browser, tmp_path):
    from untrained.apps.report.findings import from_study
    from untrained.apps.report.html import html
    from untrained.core.architecture import Architecture
    from untrained.core.study import Question, Study, Trial

    nasty = "</script><script>window.hit=1</script><img src=x onerror='window.hit=2'>"
    trials = [
        Trial(i, Architecture.of(nasty, a=f"{nasty}{i}"), "ok", {nasty: 1.0 * i}, 1.0 * i, (1.0 * i,))
        for i in range(25)
    ]
    page = tmp_path / "nasty.html"
    page.write_text(html(from_study(Study(Question(nasty, ((nasty, "higher"),)), trials, nasty))))
    browser.open(page)
    browser.heard()
    assert browser.run("return window.hit ?? null") is None
    assert browser.errors == []
    assert sys.getsizeof(page.read_text()) < 5_000_000
