"""`untrained list` and `untrained show`."""

import json

import pytest

from untrained.core import registry


def test_list_has_every_plugin_with_its_first_line(run):
    said = run("list").stdout
    for kind in registry.ROOMS:
        for name in registry.names(kind):
            assert f"  {name} " in said
            assert registry.summary(kind, name) in said


@pytest.mark.parametrize("kind", ["proxy", "proxies"])
def test_list_of_one_kind(run, kind):
    said = run("list", kind).stdout
    assert said.startswith("proxies\n  ")
    assert "rnn_cell" not in said


def test_list_as_json(run):
    records = json.loads(run("list", "cost", "--json").stdout)
    assert [r["name"] for r in records] == registry.names("cost")
    assert all(r.keys() == {"kind", "name", "summary"} and r["summary"] for r in records)


def test_list_of_a_wrong_kind(wrong):
    assert "no kind of plug-in is called 'proxxy'. Did you mean 'proxy'?" in wrong("list", "proxxy")
    assert "list takes one kind" in wrong("list", "proxy", "cost")


@pytest.mark.parametrize("kind", list(registry.ROOMS))
def test_show_takes_every_plugin(run, kind):
    for name in registry.names(kind):
        said = run("show", name).stdout
        assert said.startswith(f"{name} ({kind})\n  ")
        assert "  Source " in said or kind in ("proxy", "cost")
        (record,) = json.loads(run("show", name, "--json").stdout)
        assert (record["kind"], record["name"]) == (kind, name)
        assert record["summary"]


def test_show_has_options_direction_and_unit(run):
    said = run("show", "latency").stdout
    for line in ("better     lower", "unit       ms", "needs      device", "options    batch=1 (int)"):
        assert f"\n  {line}\n" in said
    assert "  Formula    median over `repeats`" in said


def test_show_of_a_name_in_two_kinds_shows_both(run):
    from untrained.core.metric import cost, proxy

    def doubled(probe) -> float:
        """The number two."""
        return 2.0

    try:
        cost(unit="bytes")(doubled)
        proxy()(doubled)
        records = json.loads(run("show", "doubled", "--json").stdout)
        assert [r["kind"] for r in records] == ["proxy", "cost"]
        assert "doubled (proxy)" in (said := run("show", "doubled").stdout)
        assert "\n\ndoubled (cost)" in said
    finally:
        registry.forget("cost", "doubled")
        registry.forget("proxy", "doubled")


def test_show_of_an_unknown_name_offers_the_nearest_of_all_kinds(wrong):
    assert "Did you mean 'random_search'" in wrong("show", "random_serch")
    assert "Did you mean 'params'" in wrong("show", "parms")
