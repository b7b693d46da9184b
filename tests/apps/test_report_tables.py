"""Tables and pages as text and as Markdown, and the command that repeats a search."""

import shlex

import pytest

from untrained.apps.report.command import command, metric_name, typed
from untrained.apps.report.counts import count
from untrained.apps.report.document import Section, as_markdown, as_text
from untrained.apps.report.study import sections
from untrained.apps.report.table import Column, filled, fitted, markdown, number, plain, share, table
from untrained.core.architecture import Architecture
from untrained.core.study import Question, Study, Trial

FRUIT = table(
    [Column("name", left=True), "grams", Column("note", left=True, spare=1, wraps=True)],
    [["apple", "150", "round and red"], ["fig", "40", ""]],
)


def test_plain_aligns_words_left_and_numbers_right():
    assert plain(FRUIT).splitlines() == [
        "name   grams  note",
        "apple    150  round and red",
        "fig       40",
    ]


def test_plain_wraps_the_last_column():
    long = table([Column("n"), Column("why", left=True, wraps=True)], [["1", "word " * 12]])
    lines = plain(long, 40).splitlines()
    assert all(len(line) <= 40 for line in lines)
    assert " ".join(" ".join(lines[1:]).split()) == "1 " + " ".join(["word"] * 12)


def test_fitted_leaves_out_what_can_be_spared():
    assert fitted(FRUIT, 80) == (FRUIT, [])
    narrow, left_out = fitted(FRUIT, 15)
    assert left_out == ["note"]
    assert [c.title for c in narrow.columns] == ["name", "grams"]
    assert fitted(FRUIT, 3)[1] == ["note"]  # the rest always stays


def test_filled_leaves_out_what_is_empty():
    empty = table(["a", "b"], [["1", ""], ["2", ""]])
    assert [c.title for c in filled(empty).columns] == ["a"]
    assert filled(table(["a"], [])).columns == (Column("a"),)


def test_markdown_escapes_what_would_break_the_table():
    said = markdown(table([Column("a|b", left=True), "n"], [["x|<y>", "1"]]))
    assert said.splitlines() == ["| a\\|b | n |", "|---|--:|", "| x\\|&lt;y> | 1 |"]


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, "-"), (8e6, "8,000,000"), (0.123456, "0.12346"), (-3.0, "-3"), (1e20, "1e+20"), (1e-9, "1e-09")],
)
def test_numbers_for_people(value, said):
    assert number(value) == said


def test_shares():
    assert (share(None), share(0.256)) == ("-", "26 %")


def test_a_page_in_both_forms():
    page = [Section("One", ("A sentence.", "word " * 40), FRUIT, ("untrained list", "a ``` b"))]
    text = as_text("Title", page)
    assert text.startswith("Title\n=====\n\nOne\n---\nA sentence.\n\n")
    assert max(map(len, text.splitlines())) <= 80
    said = as_markdown("Title", page)
    assert said.startswith("# Title\n\n## One\n\nA sentence.\n\n")
    assert "```\nuntrained list\n```" in said
    assert "````\na ``` b\n````" in said


ASKED = Question(
    "rnn_cell",
    (("hidden_covariance.layer2", "higher"), ("latency:batch=4,repeats=5.p90", "lower")),
    where="params <= 8e6 and flops < 1e9",
    strategy="regularized_evolution:population=20",
    seed=7,
    text="ab12",
    also=("lag0_gain", "params"),
)


def test_the_command_asks_the_same_question():
    words = shlex.split(command(ASKED, 500))
    assert words[:3] == ["untrained", "search", "rnn_cell"]
    pairs = list(zip(words[3::2], words[4::2], strict=True))
    assert pairs == [
        ("--maximize", "hidden_covariance.layer2"),
        ("--minimize", "latency.p90:batch=4,repeats=5"),
        ("--where", "params <= 8e6 and flops < 1e9"),
        ("--strategy", "regularized_evolution:population=20"),
        ("--trials", "500"),
        ("--seed", "7"),
        ("--scale", "probe"),
        ("--also", "lag0_gain"),
        ("--also", "params"),
        ("--text", "FILE"),
        ("--store", "again.db"),
    ]


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("params", "params"),
        ("fading_memory.live", "fading_memory.live"),
        ("a:x=0.5", "a:x=0.5"),
        ("a:x=0.5.part", "a.part:x=0.5"),
        ("a:x=1,y=2", "a:x=1,y=2"),
    ],
)
def test_labels_as_one_types_them(label, said):
    assert typed(label) == said
    assert metric_name(label) == label[: len(metric_name(label))] == said.split(":")[0].split(".")[0]


def trial(n: int, status: str = "ok", reason: str | None = None, same_as: int | None = None) -> Trial:
    arch = Architecture.of("nowhere", n=n if same_as is None else same_as)
    good = status == "ok"
    scores = (float(n),) if good else ()
    return Trial(
        n, arch, status, {"magic": float(n)}, *((float(n),) if good else (None,)), scores, reason, same_as
    )


def test_counts_add_up():
    trials = [
        trial(0),
        trial(1, "rejected", "params < 3; flops < 2"),
        trial(2, "rejected", "params < 3"),
        trial(3, "failed", "magic: no"),
        trial(4, same_as=0),
        trial(5, reason="other: a; more: b"),
    ]
    found = count(Study(ASKED, trials))
    assert (found.trials, found.ok, found.rejected, found.failed, found.duplicates) == (6, 2, 2, 1, 1)
    assert found.clauses == {"params < 3": 2, "flops < 2": 1}
    assert found.reasons == {"magic: no": 1}
    assert found.noted == {"other: a": 1, "more: b": 1}
    assert str(found).startswith("6 trials: 2 good, 2 turned away")


def test_a_report_of_a_space_and_a_metric_that_are_not_installed():
    question = Question("nowhere", (("magic", "higher"),), where="n < 9")
    study = Study(question, [trial(i) for i in range(3)], "there.db")
    text = as_text("Title", sections(study))
    assert "magic: its card states no measured worth" in text
    assert "  params  " not in text
    assert "untrained correlate" not in text
    lines = text.splitlines()
    assert lines[lines.index("rank  trial  id                magic  n") + 1].split()[1] == "2"


def test_a_report_of_an_empty_study():
    text = as_text("Title", sections(Study(ASKED, [])))
    assert "0 trials: 0 good" in text
    assert "No trial was good" in text


def test_the_worth_on_a_card_is_quoted():
    from untrained.core import registry
    from untrained.core.metric import proxy

    @proxy()
    def worthy(probe) -> float:
        """The number one.

        Worth: tau 0.70 (0.61 to 0.77) on
            a table of 125 cells
        """
        return 1.0

    try:
        question = Question("rnn_cell", (("worthy", "higher"), ("params", "lower")))
        text = as_text("Title", sections(Study(question, [])), 200)
        assert "worthy: tau 0.70 (0.61 to 0.77) on a table of 125 cells" in text
        assert "params: " not in text
        assert "untrained correlate bench_rnn --proxy worthy (other tables: nas_bench_nlp" in text
    finally:
        registry.forget("proxy", "worthy")
