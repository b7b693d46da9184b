"""What the folders say without being imported is what the plug-ins say of themselves."""

import inspect

import pytest

from untrained.core import registry


@pytest.mark.parametrize("kind", list(registry.ROOMS))
def test_summaries_read_from_files_are_those_of_the_plugins(kind):
    for name, path in registry.files(kind).items():
        plugin = registry.get(kind, name)
        said = inspect.getdoc(getattr(plugin, "function", plugin)) or ""
        assert registry._first_line(path, kind) == said.partition("\n")[0] != ""
