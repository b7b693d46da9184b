"""The part that all predictors share: ranks, the prior, how much a correction counts, files."""

import json
from statistics import NormalDist

import numpy as np
import pytest

from untrained.core.concordance import order_gain
from untrained.core.errors import UsageError
from untrained.core.predictor import Predictor, from_json
from untrained.core.statistics import kendall_tau
from untrained.metrics.predictors.gaussian_process import GaussianProcess
from untrained.metrics.predictors.pairwise import Pairwise
from untrained.metrics.predictors.ridge_on_ranks import RidgeOnRanks


class Told(Predictor):
    """Guesses what it is told, whatever it learns."""

    name = "told"

    def __init__(self, answer=0.0, **settings):
        super().__init__(**settings)
        self.answer = answer

    def learn(self, codes, target, offset):
        self.learned = codes, target, offset

    def guess(self, codes):
        return np.full(len(codes), self.answer), np.ones(len(codes))


class Knowing(Told):
    """Its held-out guesses miss a residual by a known share."""

    share = 1.0

    def held_out(self, codes, target, offset):
        return self.share * (target - offset)


def table(rows=30, features=5, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, features))


def test_labels_are_half_ranks_and_half_values_and_columns_are_cut_values():
    X, y = np.array([[1.0, 7.0], [5.0, 7.0], [1000.0, 7.0], [2.0, 7.0]]), np.array([3.0, 9.0, -100.0, 4.0])
    codes, target, _ = Told().fit(X, y).learned
    low, high = np.quantile(X[:, 0], [0.16, 0.84])
    z = ((X[:, 0] - 3.5) / ((high - low) / 2)).clip(-3, 3)
    assert codes.shape == (4, 1)  # the column that never changes is left out
    assert codes[:, 0] == pytest.approx((z - z.mean()) / z.std())
    ranks = np.array([NormalDist().inv_cdf((r + 0.5) / 4) for r in (1, 3, 0, 2)])
    # By hand: median 3.5, quantiles -100 + 0.48 * 103 and 4 + 0.52 * 5, half their distance 28.58.
    values = np.array([-0.5, 5.5, 0.0, 0.5]) / 28.58
    values[2] = -2 - np.log(1 + 103.5 / 28.58 - 2)
    both = ranks / ranks.std() + (values - values.mean()) / values.std()
    assert target == pytest.approx((both - both.mean()) / both.std())


def test_the_unit_of_labels_and_columns_changes_nothing():
    X, y = table(), table(seed=1)[:, 0]
    plain = RidgeOnRanks().fit(X, y).predict(X)[0]
    assert RidgeOnRanks().fit(1e3 * X + 7, 1e-3 * y - 5).predict(1e3 * X + 7)[0] == pytest.approx(plain)


def test_a_label_far_out_pulls_little_more_than_one_at_the_edge():
    X, y = table(), table(seed=1)[:, 0]
    y[4] = y.max() + 10
    near = Told().fit(X, y).learned[1]
    y[4] = 1e308
    far = Told().fit(X, y).learned[1]
    assert np.isfinite(far).all()
    assert kendall_tau(near, y) == kendall_tau(far, y) == 1.0


def test_a_prior_keeps_its_order_far_out_where_columns_are_cut():
    X = table()
    X[:3, 0] = [40.0, 4000.0, 400.0]
    codes, _, offset = Told(prior=0).fit(X, table(seed=1)[:, 0]).learned
    assert kendall_tau(offset, X[:, 0]) == 1.0
    assert codes[0, 0] == codes[1, 0]
    assert offset[1] < 3 * offset[0]  # but it pulls hardly more


def test_values_far_beyond_the_pool_are_cut():
    fitted = RidgeOnRanks().fit(table(), table()[:, 0])
    far = np.array([[50.0] * 5, [-50.0] * 5])
    assert np.array_equal(fitted.predict(far)[0], fitted.predict(2 * far)[0])


def test_a_correction_that_says_nothing_leaves_the_order_of_the_prior():
    X = table()
    fitted = Knowing(answer=5.0, prior=0)
    fitted.share = 0.0
    fitted.fit(X, X[:, 0] + X[:, 1])
    assert fitted.weight == 0.0
    assert kendall_tau(fitted.predict(X)[0], X[:, 0]) == 1.0


def test_a_correction_that_is_always_right_counts_in_full_but_for_the_spread_of_its_gain():
    X = table(200)
    fitted = Knowing(prior=0).fit(X, X[:, 0] + X[:, 1])
    _, target, offset = fitted.learned
    gain = (target - offset) ** 2
    error = gain.std() / 200**0.5
    assert fitted.weight == pytest.approx(1 - (1.5 * error / gain.mean()) ** 2)
    assert 0.9 < fitted.weight < 1


def test_the_slope_of_a_prior_starts_at_the_usual_one_and_never_turns_round():
    X = table(4, 2)
    few = Told(prior=0).fit(X, X[:, 0])
    target, own = few.learned[1], few.learned[2] / few.slope
    assert few.slope == pytest.approx((own @ target + 4 * 0.8) / (own @ own + 4))
    assert Told(prior=0).fit(X, -X[:, 0]).slope == 0.3


@pytest.mark.parametrize("made", [RidgeOnRanks, GaussianProcess, Pairwise])
def test_labels_of_noise_do_not_spoil_a_good_prior(made):
    """Labels drawn apart from every column: in the mean over draws the order is that of the prior."""
    X = table(120, 30, seed=3)
    kept = []
    for draw in range(10):
        y = X[:, 0] + 0.3 * np.random.default_rng(draw).normal(size=120)
        fitted = made(prior=0).fit(X[:20], y[:20], X)
        kept.append(kendall_tau(fitted.predict(X[20:])[0], X[20:, 0]))
    assert np.mean(kept) > 0.9


@pytest.mark.parametrize("made", [RidgeOnRanks, GaussianProcess, Pairwise])
def test_labels_mend_a_prior_that_lacks_something(made):
    X = table(200, 6, seed=4)
    y = X[:, 0] + X[:, 1]
    fitted = made(prior=0).fit(X[:60], y[:60], X)
    better = kendall_tau(fitted.predict(X[60:])[0], y[60:])
    assert better > kendall_tau(X[60:, 0], y[60:]) + 0.15


@pytest.mark.parametrize("made", [RidgeOnRanks, GaussianProcess])
def test_the_closed_form_leaves_one_out(made):
    """Against learning again without the row, at the settings that all rows had chosen."""
    codes, target = table(12, 4, seed=5), table(12, 4, seed=6)[:, 0]
    nothing = np.zeros(12)
    fitted = made()
    told = fitted.held_out(codes, target, nothing)
    if made is RidgeOnRanks:
        gram = codes @ codes.T / (4 * fitted.penalty) + 0.4
        whole = gram + np.eye(12)
    else:
        gram = fitted._share * fitted._kernel(codes, _squares(codes), fitted._length)
        whole = gram + fitted._noise * np.eye(12)
    for i in range(12):
        rest = np.delete(np.arange(12), i)
        alone = gram[i, rest] @ np.linalg.solve(whole[np.ix_(rest, rest)], target[rest])
        assert told[i] == pytest.approx(alone, abs=1e-9)


def test_the_ridge_is_the_least_penalised_error_that_a_second_solver_finds():
    codes, target = table(12, 4, seed=5), table(12, 4, seed=6)[:, 0]
    fitted = RidgeOnRanks(penalty=3.0)
    fitted.learn(codes, target, np.zeros(12))
    wide = np.vstack([np.column_stack([codes, np.ones(12)]), np.diag([12**0.5] * 4 + [0.4**-0.5])])
    b = np.linalg.lstsq(wide, np.append(target, np.zeros(5)), rcond=None)[0]
    assert fitted.guess(codes)[0] == pytest.approx(codes @ b[:4] + b[4])


def test_the_ridge_is_surer_of_what_it_has_seen_and_says_how_far_off_it_is():
    """Its own assumption, drawn: the deviation is the spread of the truth about the mean."""
    rng, missed = np.random.default_rng(0), []
    for _ in range(400):
        codes = rng.normal(size=(41, 5))
        truth = rng.normal() * 0.4**0.5 + codes @ rng.normal(size=5) / 15**0.5 + rng.normal(size=41)
        fitted = RidgeOnRanks(penalty=3.0)
        fitted.learn(codes[:40], truth[:40], np.zeros(40))
        mean, deviation = fitted.guess(codes[40:])
        missed.append((truth[40] - mean[0]) / deviation[0])
    assert np.std(missed) == pytest.approx(1.0, abs=0.12)
    far = fitted.guess(np.array([[0.0] * 5, [9.0] * 5]))[1]
    assert far[1] > 1.5 * far[0]


@pytest.mark.parametrize("careful", [True, False])
def test_a_careful_ridge_leaves_a_good_prior_alone(careful):
    """Twenty labels of prior and noise, and thirty columns: most corrections are harm."""
    X, worse = table(120, 30, seed=3), 0
    for draw in range(20):
        y = X[:, 0] + 0.3 * np.random.default_rng(draw).normal(size=120)
        fitted = RidgeOnRanks(prior=0, careful=careful).fit(X[:20], y[:20], X)
        worse += kendall_tau(fitted.predict(X[20:])[0], X[20:, 0]) < 1
    assert worse <= 4 if careful else worse > 15


def test_a_careful_ridge_takes_what_is_sure():
    X = table(200, 6, seed=4)
    y = X[:, 0] + X[:, 1]
    sure = RidgeOnRanks(prior=0, careful=True).fit(X[:60], y[:60], X)
    assert RidgeOnRanks(prior=0).fit(X[:60], y[:60], X).weight == 1.0
    assert 0.8 < sure.weight < 1.0
    codes, prior = sure._placed(X[:60])
    kernel = codes @ codes.T / (2.5 * codes.shape[1]) + 0.4
    target = (kernel + np.eye(60)) @ sure._dual + sure.slope * prior
    left_out = np.zeros(60)
    for i in range(60):
        rest = np.delete(np.arange(60), i)
        r = (target - sure.slope * prior)[rest]
        alone = kernel[i, rest] @ np.linalg.solve(kernel[np.ix_(rest, rest)] + np.eye(59), r)
        left_out[i] = sure.slope * prior[i] + alone
    gain, error = order_gain(left_out, prior, y[:60])
    assert sure.weight == pytest.approx(1 - (error / gain) ** 2)
    again = from_json(sure.to_json())
    assert again.settings() == {"prior": 0, "seed": 0, "penalty": 2.5, "careful": True}
    assert again.weight == sure.weight


def test_a_ridge_without_a_penalty_is_told():
    for wrong in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="no positive number"):
            RidgeOnRanks(penalty=wrong)


def _squares(codes):
    return ((codes[:, None] - codes) ** 2).sum(-1)


def test_the_process_is_unsure_far_away():
    X = np.linspace(-1, 1, 20)[:, None]
    pool = np.vstack([X, np.linspace(1, 3, 20)[:, None]])
    fitted = GaussianProcess().fit(X, np.sin(3 * X[:, 0]), pool)
    near, far = fitted.predict(np.array([[0.0], [3.0]]))[1]
    assert far > 1.2 * near


def test_the_pairs_have_the_slope_that_a_second_solver_finds():
    from scipy.optimize import minimize

    codes, target = table(8, 3, seed=7), table(8, 3, seed=8)[:, 0]
    fitted = Pairwise()
    fitted.learn(codes, target, np.zeros(8))
    i, j = np.triu_indices(8, 1)
    up = np.sign(target[i] - target[j])
    apart = up[:, None] * (codes[i] - codes[j])
    steep = 1.7 / (2**0.5 * target.std())

    def cost(b):
        return 8 / len(i) * np.log1p(np.exp(-steep * apart @ b)).sum() + 3 / 0.25 * (b @ b) / 2

    assert fitted._b == pytest.approx(minimize(cost, np.zeros(3)).x, abs=1e-4)


def test_a_file_has_data_and_settings_and_nothing_that_runs():
    fitted = Pairwise(strength=0.25, prior=1, seed=3).fit(table(), table()[:, 0])
    record = json.loads(fitted.to_json())
    assert record["settings"] == {"strength": 0.25, "prior": 1, "seed": 3}
    again = from_json(record)
    assert isinstance(again, Pairwise)
    assert np.array_equal(again.predict(table(seed=9))[0], fitted.predict(table(seed=9))[0])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 2}, "another version"),
        ({"predictor": "pairwize"}, "pairwise"),
        ({"y": [1.0] * 30}, "nothing to learn"),
        ({"X": "words"}, "not a saved predictor"),
        ({"settings": {"strange": 1}}, "no option 'strange'"),
    ],
)
def test_a_file_that_is_not_ours_is_told(change, said):
    record = json.loads(Pairwise().fit(table(), table()[:, 0]).to_json()) | change
    with pytest.raises(UsageError, match=said):
        from_json(record)


@pytest.mark.parametrize("text", ["", "[]", "{}", "no"])
def test_text_that_is_no_predictor_is_told(text):
    with pytest.raises(UsageError, match="not a saved predictor"):
        from_json(text)


@pytest.mark.parametrize(
    ("X", "y", "said"),
    [
        (table(3), [1.0, 1.0, 1.0], "all 3 labels are 1"),
        (table(3), [1.0, np.nan, 2.0], "label 1 is nan"),
        (table(3), [1.0, np.inf, 2.0], "label 1 is inf"),
        (table(1), [1.0], "too few"),
        (table(3), [1.0, 2.0], "as many labels"),
        (table(3)[:, 0], [1.0, 2.0, 3.0], "table"),
        (table(3)[:, :0], [1.0, 2.0, 3.0], "table"),
        (np.array([[1.0], [np.nan]]), [1.0, 2.0], "X is nan in row 1, column 0"),
    ],
)
def test_what_cannot_be_learned_from_is_told(X, y, said):
    with pytest.raises(UsageError, match=said):
        RidgeOnRanks().fit(X, y)
