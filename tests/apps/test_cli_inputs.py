"""Files of architectures, good and bad, as --arch and rank read them."""

import json
from collections.abc import Iterator

import pytest

from untrained.apps.cli import _inputs
from untrained.core import registry
from untrained.core.architecture import Architecture
from untrained.core.space import Space, choice
from untrained.core.space import space as register

GOOD = '{"choices":{"cell":[[["linear",["x","h_prev_0"]],["activation_tanh",[0]]],[1]]},"space":"rnn_cell"}'
RECIPE = (
    '{"f": {"op": "linear", "input": ["x", "h_prev_0"]},'
    ' "h_new_0": {"op": "activation_tanh", "input": ["f"]}}'
)


@pytest.fixture
def other() -> Iterator[type[Space]]:
    """A second space, for a file that mixes them."""

    class OtherSpace(Space):
        """A space of one number."""

        depth: int = choice(1, 2)

        def build(self, arch, *, scale="paper", generator=None):
            raise NotImplementedError

    register(OtherSpace)
    yield OtherSpace
    registry.forget("space", "other_space")


def read(tmp_path, text, space=None) -> list[Architecture]:
    path = tmp_path / "cells.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return _inputs.architectures(str(path), space)[1]


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"{GOOD}\n",
        f"\ufeff{GOOD}\n",
        f"\n{GOOD}\r\n\n",
        json.dumps(json.loads(GOOD), indent=2),
        f"[{GOOD}]",
        f"[\n{GOOD}\n]\n",
        json.dumps({"rank": 1, "architecture": json.loads(GOOD)}),
    ],
)
def test_every_form_of_one_architecture(tmp_path, text):
    assert [a.to_json() for a in read(tmp_path, text)] == [GOOD]


def test_many_lines_keep_their_order_and_their_doubles(tmp_path, space):
    other = space.classic("gru").to_json()
    assert [a.to_json() for a in read(tmp_path, f"{GOOD}\n{other}\n{GOOD}\n")] == [GOOD, other, GOOD]


def test_a_published_recipe_needs_the_name_of_its_space(tmp_path):
    assert [a.to_json() for a in read(tmp_path, RECIPE, "rnn_cell")] == [GOOD]
    with pytest.raises(_inputs.UsageError, match="add: --space rnn_cell"):
        read(tmp_path, RECIPE)


BAD = {
    "empty": ("", "cells.json is empty"),
    "blank": (" \n\n", "cells.json is empty"),
    "binary": (b"\x00\x01\x02", "is binary"),
    "latin": ('{"space": "b\u00e4r"}'.encode("latin-1"), "is not UTF-8: byte 0xe4 at 12"),
    "half a line": (f'{GOOD}\n{{"space": "rnn', "line 2: not JSON: Unterminated string"),
    "half the first line": (GOOD[:50] + "\n" + GOOD, "line 1: not JSON"),
    "words": ("hello\nthere", "line 1: not JSON"),
    "number": ("5", "line 1: a JSON int is not an architecture"),
    "null": ("null", "a JSON NoneType is not an architecture"),
    "empty list": ("[]", "holds no architecture"),
    "bad item": (f"[{GOOD}, 7]", "item 2: a JSON int is not an architecture"),
    "empty object": ("{}", "this one has nothing"),
    "other object": ('{"a": 1}', "this one has 'a'"),
    "space is no name": ('{"space": 5, "choices": {}}', "an architecture is an object like"),
    "choices are no object": ('{"space": "rnn_cell", "choices": [1]}', "line 1: not an architecture"),
    "unknown space": ('{"space": "rnn_sell", "choices": {}}', "Did you mean 'rnn_cell'?"),
    "no choices": (f'{GOOD}\n{{"space": "rnn_cell", "choices": {{}}}}', "line 2: "),
    "cell is a number": ('{"space": "rnn_cell", "choices": {"cell": 5}}', "line 1: "),
    "cell is NaN": ('{"space": "rnn_cell", "choices": {"cell": NaN}}', "line 1: "),
    "cell is an object": ('{"space": "rnn_cell", "choices": {"cell": {"a": 1}}}', "line 1: "),
    "unknown op": (GOOD.replace("activation_tanh", "tan"), "line 1: .*tan"),
    "forward reference": (GOOD.replace("[0]", "[5]"), "line 1: "),
    "deep": ("[" * 100_000, "cells.json, line 1: not JSON that can be read"),
    "deep cell": ('{"space": "rnn_cell", "choices": {"cell": ' + "[" * 900 + "]" * 900 + "}}", "line 1: "),
    "huge number": ('{"space": "rnn_cell", "choices": {"cell": ' + "9" * 5000 + "}}", "not JSON"),
}


@pytest.mark.parametrize(("text", "said"), BAD.values(), ids=BAD)
def test_bad_files_are_told_with_their_place(tmp_path, text, said):
    with pytest.raises(_inputs.UsageError, match=said):
        read(tmp_path, text)


def test_an_architecture_of_another_space(tmp_path, other):
    mixed = f'{GOOD}\n{{"choices":{{"depth":1}},"space":"other_space"}}'
    with pytest.raises(_inputs.UsageError, match="line 2: an architecture of 'other_space' was given"):
        read(tmp_path, mixed)
    with pytest.raises(_inputs.UsageError, match="line 1: an architecture of 'rnn_cell' was given"):
        read(tmp_path, GOOD, "other_space")
    with pytest.raises(_inputs.UsageError, match="does not read published recipes"):
        read(tmp_path, RECIPE, "other_space")
    with pytest.raises(_inputs.UsageError, match="has no networks by name"):
        _inputs.recipe("lstm", other())


def test_a_huge_file_is_not_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(_inputs, "LARGEST", 2**20)
    with pytest.raises(_inputs.UsageError, match=r"larger than 1 MiB.*\n.*split"):
        read(tmp_path, f"{GOOD}\n" * 20_000)


@pytest.mark.parametrize("command", [["score", "--arch"], ["rank"]], ids=" ".join)
def test_commands_say_which_file_cannot_be_read(wrong, tmp_path, command):
    assert "cannot read nothing.jsonl: No such file" in wrong(*command, "nothing.jsonl")
    assert "Is a directory" in wrong(*command, tmp_path)
    assert "stdin is empty" in wrong(*command, "-", stdin="")
    assert "stdin is binary" in wrong(*command, "-", stdin=b"\x00")
    assert "stdin, line 2: not JSON" in wrong(*command, "-", stdin=f"{GOOD}\n{{")
