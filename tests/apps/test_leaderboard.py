"""The leaderboard: what is kept, what is said, and that a page is made from what was measured alone."""

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import untrained as ut
from untrained.apps.leaderboard import kept, measuring, records, tables
from untrained.apps.leaderboard.whole import Leaderboard, leaderboard
from untrained.core import registry, statistics
from untrained.core.errors import BadData, UsageError

PROXIES = ["fading_memory", "lag0_gain", "hidden_covariance"]


@pytest.fixture(autouse=True, scope="module")
def only_given_tables():
    """Our own tables are in the package, so always at hand; here only those count that a test has written."""
    with pytest.MonkeyPatch.context() as patch:
        for name in registry.names("benchmark"):
            patch.setattr(registry.get("benchmark", name), "shipped", None)
        yield


PAGE = ["correlate", "all", "--workers", "1", "-p", ",".join(PROXIES), "--data"]


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    """Few resamples; that they are enough is not what is tested here."""
    monkeypatch.setattr(records, "DRAWS", 20)
    monkeypatch.setattr(records, "TESTS", 99)


@pytest.fixture
def asked(monkeypatch):
    """(architecture, proxies, draw, text) of everything that is measured."""
    seen, real = [], measuring.measure_all

    def measure_all(lab, archs, metrics, **given):
        text = lab.corpus.source and Path(lab.corpus.source).name
        for arch, found in zip(archs, real(lab, archs, metrics, **given), strict=True):
            seen.append((arch.id, {m.label for m in metrics}, lab.first, text))
            yield found

    monkeypatch.setattr(measuring, "measure_all", measure_all)
    return seen


def without_seconds(page):
    return [line.rpartition("|")[0].rpartition("|")[0] if line.startswith("|") else line for line in page]


# --- the command ---------------------------------------------------------------------------------


def test_all_benchmarks_make_one_page(run, data, tmp_path):
    path = tmp_path / "page.md"
    result = run(*PAGE, data, "-o", path)
    page = path.read_text()
    assert (
        "## nas_bench_nlp: wikitext2_val_loss\n\nnats per token, lower is better. 8 rows, 7 different" in page
    )
    assert "## Left out" in page
    others = len(tables.named(["all"])) - 1  # every other table, one of them read in two ways
    assert page.count("its files are not there: ") == others >= 9
    assert str(data) not in page
    typed = f"untrained correlate all --proxy {','.join(PROXIES)} --data DIR --scale probe --limit 1000"
    assert f"```\n{typed} -o leaderboard.md\n```" in page
    names = [line.split(" | ")[0] for line in page.splitlines() if line.startswith("| ")]
    plain = [i for i, n in enumerate(names) if n.startswith("| *")]
    assert plain == list(range(1, len(plain) + 1)), "the plain orders do not stand first"
    assert {"| *params*", "| *nodes*", "| fading_memory"} <= set(names)
    assert f"scores are kept in: {tmp_path / 'page.scores'}" in result.stderr
    assert "nas_bench_nlp  " in result.stdout
    assert "left out: hw_gpt_s: its files are not there: gpt_s_ppl.csv or gpt_s_hw.csv" in result.stdout
    again = tmp_path / "again.md"
    run(*PAGE, data, "-o", again, "--scores", tmp_path / "page.scores")
    assert again.read_text() == page


def test_every_form_says_the_same(run, data, tmp_path):
    made = {}
    for ending in ("md", "html", "json"):
        path = tmp_path / f"page.{ending}"
        done = run(*PAGE, data, "-o", path, "--scores", tmp_path / "kept", "--json")
        made[ending] = path.read_text()
        assert Leaderboard.load(tmp_path / "page.json").json() == done.stdout if ending == "json" else True
    found = Leaderboard.load(tmp_path / "page.json")
    assert found.markdown() == made["md"]
    assert found.html() == made["html"]
    assert found.json() == made["json"]
    seen = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            assert tag not in ("link", "img", "iframe")
            given = dict(attrs)
            assert "src" not in given
            assert given.get("href", "#").startswith("#")
            seen.append(tag)

        def handle_data(self, text):
            seen.append(text)

    Reader().feed(made["html"])
    assert {"fading", "gain", "params"} <= {word for text in seen for word in re.split("[_ ]", text)}
    assert seen.count("em") == sum(r["plain"] for r in found.boards[0]["records"])
    rows = found.markdown().count("\n|") - 4  # two tables, each with a title and a rule
    assert seen.count("tr") == rows + 2


WRONG = {
    "no page": (["correlate", "all"], "-o leaderboard.md"),
    "several without a page": (["correlate", "nas_bench_nlp,nas_bench_bert"], "-o leaderboard.md"),
    "an empty name": (["correlate", ""], "no benchmark is called ''"),
    "an empty name with a page": (["correlate", "", "-o", "p.md"], "no benchmark is called ''"),
    "an ending that is not ours": (["correlate", "all", "-o", "page.pdf"], ".md, .html, .json"),
    "no ending": (["correlate", "all", "-o", "page"], ".md, .html, .json"),
    "no such folder": (["correlate", "all", "-o", "no/page.md"], "mkdir -p"),
    "versus": (["correlate", "all", "-o", "p.md", "--versus", "params"], "--versus goes with one benchmark"),
    "combine": (["correlate", "all", "-o", "p.md", "--combine", "borda"], "--combine goes with one"),
    "seeds": (["correlate", "all", "-o", "p.md", "--seeds", "2"], "--seeds goes with one"),
    "other text alone": (["correlate", "nas_bench_nlp", "--other-text", "x.txt"], "goes with a page"),
    "kept alone": (["correlate", "nas_bench_nlp", "--kept"], "--kept goes with a page"),
    "unknown benchmark": (["correlate", "all,nas_bench_npl", "-o", "p.md"], "Did you mean 'nas_bench_nlp'"),
    "unknown proxy": (["correlate", "all", "-o", "p.md", "-p", "fading_memry"], "Did you mean"),
    "a cost": (["correlate", "all", "-o", "p.md", "-p", "latency"], "latency is a cost"),
    "no data": (["correlate", "all", "-o", "p.md", "--data", "nowhere"], "no benchmark is at hand"),
    "no data for one": (["correlate", "hw_gpt_s", "-o", "p.md", "--data", "."], "its files are not there"),
    "no such text": (["correlate", "all", "-o", "p.md", "--other-text", "x.txt"], "cannot read the text"),
}


@pytest.mark.parametrize(("words", "said"), WRONG.values(), ids=WRONG)
def test_wrong_use(wrong, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    assert said in wrong(*words)
    assert not list(tmp_path.glob("p*.md")), "a page was written"


def test_scores_are_kept_in_a_folder(wrong, data, tmp_path):
    (tmp_path / "kept").write_text("words")
    assert "this is a file" in wrong(*PAGE, data, "-o", tmp_path / "p.md", "--scores", tmp_path / "kept")


def test_the_other_text_is_another(data, tmp_path):
    with pytest.raises(UsageError, match="the same as the text"):
        leaderboard(data=data, proxies=PROXIES, text=words(tmp_path, "a"), other_text=words(tmp_path, "a"))


def words(folder, name, seed=0):
    path, rng = folder / f"{name}.txt", np.random.default_rng(seed)
    path.write_text(" ".join(f"w{int(300 * x**3)}" for x in rng.random(6_000)))
    return path


# --- what is kept ----------------------------------------------------------------------------------


def test_a_new_proxy_costs_its_own_passes_only(data, tmp_path, asked):
    first = leaderboard(data=data, proxies=PROXIES[:2], scores=tmp_path)
    assert {frozenset(p) for _, p, _, _ in asked} == {frozenset(PROXIES[:2])}
    assert len(asked) == 7 + 7  # each network, and all again with other weights, as there are so few
    asked.clear()
    assert leaderboard(data=data, proxies=PROXIES[:2], scores=tmp_path).json() == first.json()
    assert asked == []
    whole = leaderboard(data=data, proxies=PROXIES, scores=tmp_path)
    assert {frozenset(p) for _, p, _, _ in asked} == {frozenset(PROXIES[2:])}
    at_once = leaderboard(data=data, proxies=PROXIES)
    drop = {"seconds_per_arch"}
    for one, other in zip(whole.boards[0]["records"], at_once.boards[0]["records"], strict=True):
        assert {k: v for k, v in one.items() if k not in drop} == {
            k: v for k, v in other.items() if k not in drop
        }


def test_new_networks_are_asked_what_the_others_were(data, tmp_path, asked):
    leaderboard(data=data, proxies=PROXIES[:2], scores=tmp_path, limit=4)
    few = {arch for arch, *_ in asked}
    assert len(few) == 4
    asked.clear()
    whole = leaderboard(data=data, proxies=PROXIES[1:], scores=tmp_path)
    new = [(arch, names) for arch, names, draw, _ in asked if draw == 0 and arch not in few]
    assert len(new) == 3
    assert all(names == set(PROXIES) for _, names in new)
    assert all(names == {PROXIES[2]} for arch, names, _, _ in asked if arch in few)
    assert {r["proxy"] for r in whole.boards[0]["records"] if not r["plain"]} == set(PROXIES[1:])
    leaderboard(data=data, proxies=PROXIES, scores=tmp_path / "at once")
    assert (tmp_path / "nas_bench_nlp.csv").read_text() == (
        tmp_path / "at once/nas_bench_nlp.csv"
    ).read_text()


@pytest.mark.parametrize("after", [1, 5, 9])
def test_a_run_that_was_stopped_goes_on(run, data, tmp_path, monkeypatch, asked, after):
    whole, path = tmp_path / "whole.md", tmp_path / "page.md"
    run(*PAGE, data, "-o", whole)
    asked.clear()
    real, count = kept.Sheet.add, 0

    def add(self, arch, measured):
        nonlocal count
        real(self, arch, measured)
        count += 1
        if count == after:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(kept.Sheet, "add", add)
        stopped = run(*PAGE, data, "-o", path, code=130)
    assert "goes on from there" in stopped.stderr
    assert not path.exists()
    parts = list((tmp_path / "page.scores").glob("*.part.jsonl"))
    assert len(parts) == 1
    with parts[0].open("a") as file:
        file.write('{"id": "cut off by a ki')
    run(*PAGE, data, "-o", path)
    assert len(asked) == 14, "a network was measured twice"
    assert without_seconds(path.read_text().splitlines()) == without_seconds(whole.read_text().splitlines())
    assert not list((tmp_path / "page.scores").glob("*.part*"))


def test_scores_that_correlate_wrote_are_taken(run, data, tmp_path, asked):
    path = tmp_path / "nas_bench_nlp.csv"
    run("correlate", "nas_bench_nlp", "--data", data, "-p", ",".join(PROXIES), "--scores", path)
    (tmp_path / "nas_bench_nlp.json").write_text(json.dumps(dict.fromkeys(PROXIES[:2], 0.5) | {"swap": None}))
    found = leaderboard(data=data, proxies=PROXIES, scores=tmp_path)
    assert {tuple(names) for _, names, draw, _ in asked if draw == 0} == {(PROXIES[2],)}
    seconds = {r["proxy"]: r["seconds_per_arch"] for r in found.boards[0]["records"] if not r["plain"]}
    assert seconds[PROXIES[0]] == seconds[PROXIES[1]] == 0.5
    fresh = leaderboard(data=data, proxies=PROXIES)
    for one, other in zip(found.boards[0]["records"], fresh.boards[0]["records"], strict=True):
        assert (one["proxy"], one["tau"], one["minus_size"] if not one["plain"] else 0) == (
            other["proxy"],
            other["tau"],
            other["minus_size"] if not other["plain"] else 0,
        )


def test_a_page_of_what_is_kept_measures_nothing(run, wrong, data, tmp_path, asked):
    scores = tmp_path / "kept"
    leaderboard(data=data, proxies=PROXIES[:2], scores=scores, limit=5)
    asked.clear()
    found = leaderboard(data=data, scores=scores, measure=False)
    assert asked == []
    board = found.boards[0]
    assert (board["networks"], board["whole"], board["repeated"]) == (5, 7, 5)
    assert {r["proxy"] for r in board["records"] if not r["plain"]} == set(PROXIES[:2])
    assert "swap" in board["not_asked"]
    assert "5 different networks of 7, those with the smallest ids." in found.markdown()
    wanted = leaderboard(data=data, proxies=PROXIES[:2], scores=scores, limit=5)
    assert wanted.boards[0]["records"] == board["records"]
    page = tmp_path / "page.md"
    run("correlate", "all", "--data", data, "--kept", "--scores", scores, "-o", page)
    assert page.read_text() == found.markdown()
    assert "no such folder" in wrong("correlate", "all", "--data", data, "--kept", "-o", page)
    table = scores / "nas_bench_nlp.csv"
    lines = table.read_text().splitlines()
    least = min(line[:16] for line in lines[1:])
    table.write_text("\n".join(line for line in lines if not line.startswith(least)) + "\n")
    fewer = leaderboard(data=data, scores=scores, measure=False)
    assert "4 different networks of 7. The best plain" in fewer.markdown()
    for name in ("csv", "json"):
        (scores / f"nas_bench_nlp.{name}").unlink()
    said = wrong("correlate", "all", "--data", data, "--kept", "--scores", scores, "-o", page)
    assert "nas_bench_nlp: its scores were not measured" in said


def changed(change):
    def rewrite(folder):
        rows = list(csv.DictReader((folder / "nas_bench_nlp.csv").read_text().splitlines()))
        rows[2] |= change
        with (folder / "nas_bench_nlp.csv").open("w", newline="") as file:
            out = csv.DictWriter(file, list(rows[0]))
            out.writeheader()
            out.writerows(rows)

    return rewrite


def told(**change):
    def rewrite(folder):
        path = folder / "nas_bench_nlp.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | change))

    return rewrite


def written(name, text):
    return lambda folder: (folder / name).write_text(text)


def half_a_line(part, about):
    said = json.loads(about.read_text())
    del said["seconds"]
    part.write_text(f'{json.dumps(said)}\n{{"seconds": {{}}}}\n')


OTHERS = {
    "another row": (changed({"key": "7777"}), "the row '7777', which the benchmark at hand has not"),
    "another network": (changed({"id": "0123456789abcdef"}), "another network under the key"),
    "another truth": (changed({"wikitext2_val_loss": "1.5"}), "another wikitext2_val_loss for the key"),
    "no number": (changed({"lag0_gain": "much"}), "no table of scores"),
    "another text": (told(text="0" * 16), "scores of another text"),
    "another release": (told(release="0.0.9"), "scores of another release: '0.0.9'"),
    "another version": (told(version=9), "scores of another version: 9"),
    "another scale": (told(scale="paper"), "scores of another scale"),
    "no seconds": (told(seconds=7), "no table of scores"),
    "no JSON": (written("nas_bench_nlp.json", "words"), "no table of scores"),
    "no table": (written("nas_bench_nlp.csv", "a,b\n1,2\n"), "no table of scores"),
    "no lines": (written("nas_bench_nlp.part.jsonl", "words\n"), "no lines of scores"),
    "half a line": (
        lambda f: half_a_line(f / "nas_bench_nlp.part.jsonl", f / "nas_bench_nlp.json"),
        "KeyError",
    ),
    "lines of another text": (written("nas_bench_nlp.part.jsonl", '{"format": "x"}\n'), "of another format"),
}


@pytest.mark.parametrize(("rewrite", "said"), OTHERS.values(), ids=OTHERS)
def test_kept_scores_of_something_else_are_told(data, tmp_path, asked, rewrite, said):
    leaderboard(data=data, proxies=PROXIES[:2], scores=tmp_path)
    asked.clear()
    rewrite(tmp_path)
    with pytest.raises(UsageError, match=said) as caught:
        leaderboard(data=data, proxies=PROXIES, scores=tmp_path)
    assert "--scores DIR" in str(caught.value)
    assert asked == [], "it was told after the work"


def test_a_formula_is_kept_by_what_it_says(data, tmp_path, asked):
    from untrained.core.formula import Formula, apply, read

    path = tmp_path / "found.json"
    for op in ("l1", "frobenius"):
        path.write_text(Formula(apply("layer_last", apply(op, read("hid")))).to_json())
        asked.clear()
        found = leaderboard(data=data, proxies=[str(path)], scores=tmp_path / "kept")
        assert len(asked) == 14
        assert found.boards[0]["records"][-1]["proxy"] == str(path)
    leaderboard(data=data, proxies=[str(path)], scores=tmp_path / "kept")
    assert len(asked) == 14


# --- what is said --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def found(data):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(records, "DRAWS", 50)
        patched.setattr(records, "TESTS", 199)
        return leaderboard(data=data, proxies=[*PROXIES, "synflow"])


def test_records_agree_with_correlate(found, data):
    single = ut.correlate("nas_bench_nlp", [*PROXIES, "synflow"], data=data, targets="wikitext2_val_loss")
    by_name = {r["proxy"]: r for r in single.records}
    board = found.boards[0]
    same = ["n", "tau", "tau_a", "rho", "tau_better_half", "top10_overlap", "hard_pairs", "hard_pairs_n"]
    for record in board["records"]:
        one = by_name[record["proxy"]]
        for key in [*same, "partial_rho"]:
            assert record[key] == pytest.approx(one[key], abs=1e-6), (record["proxy"], key)
        if not record["plain"]:
            assert one["best_size"] == board["best_size"]
            assert record["minus_size"] == pytest.approx(one["minus_size"], abs=1e-6)
        assert record["rho_low"] <= record["rho"] + 1e-9
        assert record["rho"] <= record["rho_high"] + 1e-9


def test_p_values_are_corrected_for_the_scores_of_the_table(found):
    own = [r for r in found.boards[0]["records"] if not r["plain"]]
    assert len(own) == found.boards[0]["compared"] == 4
    by_p = sorted(own, key=lambda r: r["p"])
    worst = 0.0
    for left, record in zip((4, 3, 2, 1), by_p, strict=True):
        worst = max(worst, min(1.0, left * record["p"]))
        assert record["p_corrected"] == pytest.approx(worst, abs=1e-5)
        assert record["beats_size"] == (worst <= 0.05 and record["minus_size"] > 0)


def test_hard_pairs_are_compared_with_the_plain_order_that_is_best_at_them(found):
    board = found.boards[0]
    plain = {r["proxy"]: r["hard_pairs"] for r in board["records"] if r["plain"]}
    assert plain[board["best_size_hard"]] == max(plain.values())
    for r in (r for r in board["records"] if not r["plain"] and r["n"] == board["rows"]):
        assert r["hard_minus_size"] == pytest.approx(r["hard_pairs"] - max(plain.values()), abs=2e-6)
        assert r["hard_minus_size_low"] <= r["hard_minus_size"] <= r["hard_minus_size_high"]


def test_a_score_that_is_surely_worse_than_size_does_not_beat_it():
    rows = [{"p": 0.001, "minus_size": -0.5}, {"p": 0.001, "minus_size": 0.5}, {"p": 0.03, "minus_size": 0.2}]
    rows.append({"p": 0.04, "minus_size": 0.2})
    records._correct(rows)
    assert [r["beats_size"] for r in rows] == [False, True, False, False]


def test_draws_are_other_weights_of_the_same_networks(data, space, tmp_path):
    a, b = words(tmp_path, "a", 1), words(tmp_path, "b", 2)
    found = leaderboard(data=data, proxies="fading_memory", scores=tmp_path, text=a, other_text=b)
    record = found.boards[0]["records"][-1]
    rows = ut.correlate("nas_bench_nlp", "lag0_gain", data=data).rows
    archs = sorted({r.architecture for r in rows if r.architecture}, key=lambda x: x.id)
    one = [ut.score(x, "fading_memory", text=a).value for x in archs]
    both = [ut.score(x, "fading_memory", text=a, seeds=2).value for x in archs]
    second = [2 * y - x for x, y in zip(one, both, strict=True)]  # the mean of two draws, less the first
    assert record["over_draws"] == pytest.approx(statistics.kendall_tau(one, second), abs=1e-6)
    other = [ut.score(x, "fading_memory", text=b).value for x in archs]
    assert record["over_texts"] == pytest.approx(statistics.kendall_tau(one, other), abs=1e-6)
    assert found.about["text"] == "a.txt"
    assert found.boards[0]["repeated"] == 7


def test_networks_are_chosen_by_their_ids(data, monkeypatch):
    monkeypatch.setattr(tables, "REPEATED", 3)
    given = {"data": data, "scale": "probe", "text": kept.load(), "device": "cpu"}
    few, more = (tables.opened("n", "nas_bench_nlp", limit=k, **given) for k in (4, 6))
    ids = sorted(a.id for a in tables.opened("n", "nas_bench_nlp", limit=None, **given).archs)
    assert sorted(a.id for a in few.archs) == ids[:4]
    assert sorted(a.id for a in more.archs) == ids[:6]
    assert [a.id for a in few.again()] == [a.id for a in more.again()] == ids[:3]
    assert few.whole == more.whole == 7


def test_many_networks_are_asked_only_what_takes_no_pass(data, tmp_path, monkeypatch, asked):
    monkeypatch.setattr(tables, "MANY", 5)
    path = tmp_path / "page.md"
    leaderboard(data=data, proxies=["fading_memory", "l2_norm", "layers_then_width"]).save(path)
    assert {frozenset(p) for _, p, _, _ in asked} == {frozenset({"l2_norm", "layers_then_width"})}
    assert "Not measured here: fading_memory." in path.read_text()


def test_what_takes_no_pass_is_known_by_the_card():
    cheap = {n for n in ut_names() if tables.takes_no_pass(ut.metric(n))}
    assert {"params_attention", "rank_and_reuse", "l2_norm", "depth_width_rank"} <= cheap
    assert not {"fading_memory", "grad_norm", "synflow", "rank_and_spread", "zen", "zero_lm"} & cheap


def ut_names():
    from untrained.core import registry

    return registry.names("proxy")


def test_a_benchmark_is_read_in_each_of_its_readings():
    every = tables.named(["all"])
    assert every["nas_bench_bert"] == "nas_bench_bert"
    assert every["nas_bench_bert_as_trained"] == "nas_bench_bert:operation=attention,feed_forward=trained"
    assert tables.named([every["nas_bench_bert_as_trained"]]).keys() == {"nas_bench_bert_as_trained"}
    assert tables.named(["nas_bench_bert_as_trained"]) == {
        "nas_bench_bert_as_trained": every["nas_bench_bert_as_trained"]
    }


def test_nothing_at_hand_is_told_with_every_reason(tmp_path):
    with pytest.raises(BadData, match=r"(?s)no benchmark is at hand.*hw_gpt_m.*nas_bench_nlp.*--data DIR"):
        leaderboard(data=tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("words", "cannot be read"),
        ("[1]", "no leaderboard"),
        ('{"format": "untrained-leaderboard", "version": 9}', "version 9"),
        ('{"format": "untrained-leaderboard", "version": 1, "boards": {}}', "no whole leaderboard"),
    ],
)
def test_another_file_is_no_leaderboard(tmp_path, text, said):
    path = tmp_path / "page.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=said):
        Leaderboard.load(path)
