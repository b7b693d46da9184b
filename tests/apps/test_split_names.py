"""Lists of metrics as one types them."""

import pytest

from untrained.apps.names import split_names
from untrained.core.errors import UsageError


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("a", ["a"]),
        ("a,b", ["a", "b"]),
        (" a , b ,", ["a", "b"]),
        (["a,b", "c"], ["a", "b", "c"]),
        ("a,a,b", ["a", "b"]),
        ("latency:batch=4,repeats=5", ["latency:batch=4,repeats=5"]),
        ("latency:batch=4,repeats=5,params", ["latency:batch=4,repeats=5", "params"]),
        ("a:x=1,b:y=2,z=3", ["a:x=1", "b:y=2,z=3"]),
        (
            "published:all,published:hidden_covariance.layer2",
            ["published:all", "published:hidden_covariance.layer2"],
        ),
    ],
)
def test_commas_part_metrics_and_settings(typed, names):
    assert split_names(typed) == names


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "no metric is named"),
        (",", "no metric is named"),
        ([], "no metric is named"),
        ("repeats=5", "follows no metric"),
        (["latency:batch=4", "repeats=5"], "follows no metric"),
        ("latency,repeats=5", "write it like: latency:repeats=5"),
    ],
)
def test_what_is_not_a_list_of_metrics(typed, said):
    with pytest.raises(UsageError, match=said):
        split_names(typed)
