"""Labels: scores against scikit-learn, files of two forms, and a task that can be learned."""

import json
import math
from random import Random

import pytest
import torch
from toys import decoder

from untrained.core.errors import BadText, UsageError
from untrained.training.classifier import Classifier
from untrained.training.data.labelled import Labelled, from_rows, read
from untrained.training.data.tokenizer import Bytes
from untrained.training.folder import Folder
from untrained.training.recipe import luck
from untrained.training.recipes.classification import Classification, scores
from untrained.training.trainer import fit


def rows(number: int, seed: int = 0):
    """Texts of letters; the label says whether there is a z."""
    rng = Random(seed)
    made = []
    for _ in range(number):
        text = "".join(rng.choice("abcdefg") for _ in range(rng.randint(4, 12)))
        if rng.random() < 0.5:
            made.append((text, "without"))
        else:
            place = rng.randrange(len(text))
            made.append((text[:place] + "z" + text[place:], "with"))
    return made


def data(number: int = 400) -> Labelled:
    return from_rows(rows(number), Bytes(), source="the toy", held_out=0.25)


def test_scores_are_those_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = Random(3)
    truth = [rng.randrange(4) for _ in range(200)]
    said = [t if rng.random() < 0.6 else rng.randrange(4) for t in truth]
    table = torch.zeros(4, 4, dtype=torch.long)
    for t, s in zip(truth, said, strict=True):
        table[t, s] += 1
    found = scores(table)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(truth, said))
    assert found["f1"] == pytest.approx(metrics.f1_score(truth, said, average="macro"))


def test_a_network_of_ours_learns_to_find_a_letter():
    torch.set_num_threads(1)
    model = Classifier(decoder(causal=False), 2, generator=luck(0))
    recipe = Classification(length=16, batch=32, steps=120, eval_every=40, peak_lr=1e-2)
    found = fit(model, recipe, data())
    before = found.curve[0]["held_out"]
    assert before["loss"] == pytest.approx(math.log(2), abs=0.1)
    assert found.marks["accuracy"] > 0.95 > before["accuracy"]
    assert found.marks["f1"] > 0.95


def test_what_a_text_is_filled_up_with_does_not_enter_the_mean():
    class Plain(torch.nn.Module):
        """Features of a token are its own id alone."""

        def embed(self, tokens):
            return tokens[..., None].float()

        def encode(self, embedded):
            return embedded

    model = Classifier(Plain(), 2, fill=7, generator=luck(0))
    short = model(torch.tensor([[1, 3]]))
    assert torch.allclose(short, model(torch.tensor([[1, 3, -1, -1]])))
    assert torch.allclose(short, model(torch.tensor([[2]])))


def test_a_stopped_training_of_a_classifier_ends_the_same(tmp_path):
    recipe = Classification(length=16, batch=8, steps=6, eval_every=2)
    made = lambda: Classifier(decoder(causal=False), 2, generator=luck(0))  # noqa: E731
    unbroken = fit(made(), recipe, data(60))

    class Stop(Exception):
        pass

    def stop(done, total, line):
        if done == 5:
            raise Stop

    with pytest.raises(Stop):
        fit(made(), recipe, data(60), folder=Folder(tmp_path / "a"), progress=stop)
    resumed = fit(made(), recipe, data(60), folder=Folder(tmp_path / "a", resume=True))
    a, b = resumed.model.state_dict(), unbroken.model.state_dict()
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_each_pass_takes_all_rows_once():
    own = from_rows([(str(i), "ab"[i % 2]) for i in range(10)], Bytes(), source="x", held_out=0.2)
    seen = [own.batch(step, 4, 8, 0).tokens[:, 1].tolist() for step in range(4)]
    flat = [t for row in seen for t in row]
    wanted = sorted(ord(text) for text, _ in own.train)
    assert sorted(flat[:8]) == sorted(flat[8:16]) == wanted
    assert flat[:8] != flat[8:16]


def test_both_forms_of_file_are_read_alike(tmp_path):
    own = [("a, b", "x"), ("two\nlines", "y"), ('with "quotes"', "x")]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": t, "label": b}) + "\n" for t, b in own))
    (tmp_path / "a.csv").write_text('label,text\nx,"a, b"\ny,"two\nlines"\nx,"with ""quotes"""\n')
    assert read(tmp_path / "a.jsonl") == read(tmp_path / "a.csv") == own


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", "", "holds no rows"),
        ("a.jsonl", '{"text": "x"}\n', r"row 1: text or label is missing \(it has: text\)"),
        ("a.jsonl", '{"text": "x", "label": 1}\nnot json\n', "line 2: not JSON"),
        ("a.jsonl", "[1]\n", "a JSON list"),
        ("a.csv", "text,sort\nx,y\n", "text or label is missing"),
        ("a.csv", "", "holds no rows"),
    ],
)
def test_bad_files_are_told(tmp_path, name, content, said):
    (tmp_path / name).write_text(content)
    with pytest.raises(BadText, match=said):
        read(tmp_path / name)


def test_binary_and_missing_files_are_told(tmp_path):
    (tmp_path / "a.csv").write_bytes(bytes(range(256)))
    with pytest.raises(BadText, match=r"not UTF-8|no CSV"):
        read(tmp_path / "a.csv")
    with pytest.raises(BadText, match="cannot read"):
        read(tmp_path / "none.csv")


def test_labels_that_cannot_be_learned_are_told():
    recipe = Classification(length=8)
    one = from_rows([("x", "a")] * 20, Bytes(), source="the toy")
    with pytest.raises(BadText, match="the one label 'a'"):
        recipe.check(one, decoder())
    unseen = Labelled((("x", "a"), ("y", "b")), (("z", "c"),), Bytes(), "the toy")
    with pytest.raises(BadText, match="'c' is held out and never trained on"):
        recipe.check(unseen, decoder())


def test_a_module_without_features_is_refused():
    with pytest.raises(UsageError, match="gives no features"):
        Classifier(torch.nn.Linear(2, 2), 2)
