"""The table of trained encoders: tiny files in the published layout, whole and damaged."""

import csv
import json

import pytest

from untrained.benchmarks._bert_networks import scored
from untrained.benchmarks._bert_results import COLUMNS, scorer_parameters
from untrained.benchmarks.nas_bench_bert import NasBenchBert
from untrained.core.architecture import Architecture
from untrained.core.errors import BadData, InvalidArchitecture, UnknownName, UsageError
from untrained.core.space import Space

TASKS = ("cola", "mnli", "mrpc", "qnli", "qqp", "rte", "sst", "sts")
NETWORKS, RESULTS = "BERT_benchmark.json", "BERT_results_activation.csv"


class FakeEncoders(Space):
    """Calls the recipe's hidden size, operations and reading the encoder."""

    name = "fake_encoders"

    def from_recipe(self, recipe, *, feed_forward="declared", operation="declared"):
        layers = recipe["nas_config"]["encoder_layers"]
        if any(layer["operation_type"] == "XX" for layer in layers):
            raise InvalidArchitecture("layer 1: no operation is called 'XX'\n  a second line")
        kinds = [layer["operation_type"] for layer in layers]
        feeds = [(layer["feed_forward_dimension"], layer["num_feed_forward"]) for layer in layers]
        return Architecture.of(
            self.name,
            hidden=recipe["hidden_size"],
            kinds=kinds,
            feeds=feeds,
            reading=(feed_forward, operation),
        )

    def build(self, arch, *, scale="paper", generator=None):
        raise NotImplementedError


def layer(kind="SA", parameter="SDP", heads=2, stack=1):
    return {
        "operation_type": kind,
        "operation_parameter": parameter,
        "num_operation_heads": heads,
        "feed_forward_dimension": 512,
        "num_feed_forward": stack,
    }


def network(number, hidden=128, kind="SA", **changed):
    """A good record: every task has 60 points and the number of the network."""
    scores = dict.fromkeys((*TASKS, "glue"), 60.0 + number)
    record = {
        "id": number,
        "completed": True,
        "scores": scores,
        "hparams": {
            "num_train_steps": 100_000,
            "model_hparam_overrides": {
                "hidden_size": hidden,
                "nas_config": {"encoder_layers": [layer(kind), layer()]},
            },
        },
    } | changed
    return {k: v for k, v in record.items() if v is not None}


def line(number, **changed):
    """A good line: metric number i has the value i."""
    values = {column: float(i) for i, column in enumerate(COLUMNS)}
    return {"ID": number, "GLUE Score": 60.0 + number} | values | changed


def write(folder, records=None, lines=None, without=""):
    if records is not None:
        (folder / NETWORKS).write_text(json.dumps(records), encoding="utf-8")
    if lines is not None:
        fields = [name for name in line(0) if name != without]
        with (folder / RESULTS).open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, fields, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(lines)
    return folder


def read(folder, **options):
    return NasBenchBert(**options).read(folder, FakeEncoders())


def test_both_files_are_joined_by_the_number_of_the_network(tmp_path):
    table = read(write(tmp_path, [network(3), network(0, hidden=256)], [line(0), line(3), line(9)]))
    assert [row.key for row in table.rows] == ["3", "0", "9"]
    assert table.skipped == ()
    first, second, third = table.rows
    assert first.truth == dict.fromkeys(("glue", *TASKS), 63.0)
    assert (first.architecture.hidden, second.architecture.hidden) == (128, 256)
    assert list(first.published.values()) == [float(i) for i in range(len(COLUMNS))]
    assert third.architecture is None
    assert third.truth == {"glue": 69.0}


def test_published_names_are_in_snake_case():
    names = NasBenchBert.published_names
    assert len(names) == 15
    assert {"synaptic_diversity", "head_softmax_confidence_normalized", "params"} <= set(names)
    with pytest.raises(UnknownName, match="head_confidence"):
        NasBenchBert.published_name("head_confidenc")


def test_targets_are_glue_and_its_eight_tasks():
    assert [t.name for t in NasBenchBert.targets] == ["glue", *TASKS]
    assert {(t.unit, t.better, t.gap, t.log) for t in NasBenchBert.targets} == {
        ("points", "higher", 0.5, False)
    }


def test_twins_share_an_id(tmp_path):
    rows = read(write(tmp_path, [network(1), network(2), network(3, hidden=256)])).rows
    assert rows[0].architecture.id == rows[1].architecture.id != rows[2].architecture.id


def test_the_reading_of_recipes_is_handed_on(tmp_path):
    write(tmp_path, [network(1)])
    assert read(tmp_path).rows[0].architecture.reading == ("declared", "declared")
    other = read(tmp_path, feed_forward="trained", operation="attention").rows[0].architecture
    assert other.reading == ("trained", "attention")
    with pytest.raises(UnknownName, match="declared, trained"):
        NasBenchBert(feed_forward="train")
    with pytest.raises(UnknownName, match="declared, attention"):
        NasBenchBert(operation="train")


def test_a_recipe_read_as_the_network_that_was_scored(tmp_path):
    """Every width becomes that of the scorer, and nothing else changes."""
    write(tmp_path, [network(1, hidden=128, kind="LT"), network(2, hidden=256, kind="LT")], [line(1)])
    said, scored = (read(tmp_path, width=width).rows[0] for width in ("declared", "scored"))
    assert (said.architecture.hidden, said.architecture.feeds) == (128, ((512, 1), (512, 1)))
    assert (scored.architecture.hidden, scored.architecture.feeds) == (256, ((1024, 1), (1024, 1)))
    assert said.architecture.kinds == scored.architecture.kinds
    assert (said.key, said.truth, said.published) == (scored.key, scored.truth, scored.published)
    assert len({row.architecture.id for row in read(tmp_path, width="scored").rows}) == 1  # twins as scored
    both = read(tmp_path, width="scored", operation="attention").rows[0].architecture
    assert both.reading == ("declared", "attention")
    with pytest.raises(UnknownName, match="declared, scored"):
        NasBenchBert(width="256")


@pytest.mark.parametrize("config", [{}, {"nas_config": 3}, {"nas_config": {"encoder_layers": [None]}}])
def test_what_is_no_recipe_is_not_made_one(config):
    assert scored({"hidden_size": 128, **config}, 256, 1024) in (
        {"hidden_size": 128, **config},
        {"hidden_size": 256, **config},
    )


def test_the_scorers_count_written_out():
    """Two layers at width 256 and 1,024, whatever they say: ELECTRA's parts added up by hand."""
    embedding = 30_522 * 128 + 512 * 128 + 2 * 128 + 256 + (128 * 256 + 256)
    feed = (256 * 1024 + 1024) + (1024 * 256 + 256) + 512
    attention = 4 * (256 * 256 + 256) + 512
    assert scorer_parameters([layer()]) == embedding + attention + feed
    assert scorer_parameters([layer(parameter="WMA", heads=4)]) == embedding + attention + 65_536 + feed
    stacked = scorer_parameters([layer("LT", "DCT", stack=3)])
    assert stacked == embedding + 65_792 + feed + 2 * (1024 * 1024 + 1024)
    halves = 4 * (256 * 128 + 128)  # query, key, value, convolved values
    convolution = halves + 256 * 9 + 256 * 128 + 128 + (128 * 18 + 18) + 65_792 + 512
    assert scorer_parameters([layer("DSC", 9, heads=4), layer()]) == (
        embedding + convolution + feed + attention + feed
    )


# --- damaged data ------------------------------------------------------------------------------------


def test_a_folder_without_the_files_says_what_to_type(tmp_path):
    with pytest.raises(BadData, match="untrained data get nas_bench_bert"):
        read(tmp_path)


def test_one_file_without_the_other(tmp_path):
    alone, other = tmp_path / "alone", tmp_path / "other"
    alone.mkdir()
    other.mkdir()
    table = read(write(alone, [network(1)]))
    assert table.rows[0].truth["glue"] == 61.0
    assert not table.rows[0].published
    assert "BERT_results_activation.csv is not in" in table.skipped[0]
    table = read(write(other, lines=[line(1), line(2)]))
    assert [(row.architecture, row.truth) for row in table.rows] == [
        (None, {"glue": 61.0}),
        (None, {"glue": 62.0}),
    ]
    assert "BERT_benchmark.json is not in" in table.skipped[0]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (json.dumps([network(1)])[:-30].encode(), "not whole JSON"),
        (b"", "not whole JSON"),
        (b"\xff\xfe\x00", "not whole JSON"),
        (b"[" * 200_000, "not whole JSON"),
        (b'{"id": 1}', "not a list of networks"),
        (b"[]", "the list is empty"),
        (b"[3, null]", "is not an object"),
    ],
)
def test_a_file_of_networks_that_is_none(tmp_path, body, said):
    (tmp_path / NETWORKS).write_bytes(body)
    with pytest.raises(BadData, match=said) as caught:
        read(tmp_path)
    assert "untrained data get nas_bench_bert" in str(caught.value)


def test_broken_records_are_named_and_skipped(tmp_path):
    records = [
        network(1),
        7,
        network(2) | {"id": "two"},
        network(3, hparams=None),
        network(1, hidden=256),
        network(5, kind="XX"),
        network(6, hparams={"model_hparam_overrides": []}),
    ]
    table = read(write(tmp_path, records, [line(1), line(5)]))
    assert [row.key for row in table.rows] == ["1", "5"]
    assert table.rows[0].architecture.hidden == 128
    assert table.rows[1].architecture is None  # its published values are still there
    said = [s for s in table.skipped if s.startswith(NETWORKS)]
    assert said == [
        f"{NETWORKS}: record 2: 7 is not an object",
        f"{NETWORKS}: record 3: its id is 'two', not a number",
        f"{NETWORKS}: record 4: network 3 has no hparams.model_hparam_overrides, so no recipe",
        f"{NETWORKS}: record 5: network 1 comes a second time; the first counts",
        f"{NETWORKS}: record 7: network 6 has no hparams.model_hparam_overrides, so no recipe",
        f"{NETWORKS}: network 5: layer 1: no operation is called 'XX'",
    ]


def test_missing_scores_are_left_out_and_named(tmp_path):
    tasks = dict.fromkeys(TASKS, 50.0)
    records = [
        network(1, scores=None),
        network(2, scores=tasks),
        network(3, scores={**tasks, "rte": None, "glue": float("nan")}),
        network(4, scores={**tasks, "rte": True, "sst": "high", "glue": 40.0}),
    ]
    table = read(write(tmp_path, records, [line(1)]))
    first, second, third, fourth = (row.truth for row in table.rows)
    assert first == {"glue": 61.0}  # from the other file
    assert second == {**tasks, "glue": 50.0}  # the mean
    assert third == {task: 50.0 for task in TASKS if task != "rte"}
    assert fourth == {"glue": 40.0} | {task: 50.0 for task in TASKS if task not in ("rte", "sst")}
    assert table.skipped == (
        f"{NETWORKS}: network 1: no scores",
        f"{NETWORKS}: network 3: no score for glue, rte",
        f"{NETWORKS}: network 4: no score for rte, sst",
    )


def test_a_table_with_a_column_missing(tmp_path):
    write(tmp_path, [network(1)], [line(1)], without="Head Confidence")
    with pytest.raises(BadData, match="no column 'Head Confidence'"):
        read(tmp_path)


@pytest.mark.parametrize("body", [b"", b"\xff\xfe\x00\x01", b"ID,GLUE Score\n"])
def test_a_table_that_is_none(tmp_path, body):
    (tmp_path / RESULTS).write_bytes(body)
    with pytest.raises(BadData):
        read(tmp_path)


def test_a_table_without_a_good_line(tmp_path):
    with pytest.raises(BadData, match="'x' is not the number of a network"):
        read(write(tmp_path, lines=[line(1, ID="x")]))


def test_broken_lines_are_named_and_skipped(tmp_path):
    first = next(iter(COLUMNS))
    lines = [
        line(1),
        line(1),
        line(4, ID="-4"),
        line(2, **{first: "many"}),
        line(3, **{first: "nan", "GLUE Score": ""}),
    ]
    table = read(write(tmp_path, [network(1), network(3, scores=None)], lines))
    assert [row.key for row in table.rows] == ["1", "3"]
    assert COLUMNS[first] not in table.rows[1].published
    assert table.rows[1].truth == {}
    assert [s.partition(": ")[2] for s in table.skipped if s.startswith(RESULTS)] == [
        "line 3: network 1 comes a second time; the first counts",
        "line 4: '-4' is not the number of a network",
        f"line 5: {first} is 'many', not a number",
        f"line 6: no finite value, left out: GLUE Score, {first}",
    ]


def test_a_space_that_cannot_read_recipes_is_refused(tmp_path):
    class Deaf(Space):
        name = "deaf"

        def build(self, arch, *, scale="paper", generator=None):
            raise NotImplementedError

    with pytest.raises(UsageError, match="needs a space with from_recipe"):
        NasBenchBert().read(write(tmp_path, [network(1)]), Deaf())
