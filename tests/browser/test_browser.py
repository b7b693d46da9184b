"""The judge itself: it sees what is wrong with a page that is made to be wrong."""

from pathlib import Path

BAD = (
    "<!doctype html><html lang=en><title>Bad</title><main><h1>Bad</h1><p style='color:#ccc;width:900px'>pale"
    "</p><img src='missing.png'><script>console.error('ouch')</script></main>"
)


def test_it_finds_what_is_wrong(browser, tmp_path: Path):
    page = tmp_path / "bad.html"
    page.write_text(BAD)
    browser.open(page, size=(390, 844))
    browser.heard()
    assert any("ouch" in line for line in browser.errors)
    assert any(address.endswith("missing.png") for address in browser.requests)
    assert browser.sideways() > 400
    said = browser.violations()
    assert any(line.startswith("color-contrast") for line in said)
    assert any(line.startswith("image-alt") for line in said)


def test_it_shows_the_theme_that_is_asked_for(browser, tmp_path: Path):
    page = tmp_path / "plain.html"
    page.write_text("<!doctype html><html lang=en><title>Plain</title><main><h1>Plain</h1></main>")
    for theme in ("dark", "light"):
        browser.open(page, theme=theme)
        assert browser.run(f"return matchMedia('(prefers-color-scheme: {theme})').matches")
    browser.heard()
    assert not browser.errors
    assert not browser.violations()
