"""lm-eval's result keys become metric paths; what is no number is left out."""

import math

import numpy as np  # noqa: TID253
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_quality.eval.lm_metrics import as_number, metric_name, numbers
from vllm_quality.verdict.metrics import definition_of


def test_the_filter_is_named_only_where_there_are_several() -> None:
    assert numbers({"alias": "x", "sample_len": 3, "acc,none": np.float64(0.5), "acc_stderr,none": 0.1}) == {
        "acc": 0.5,
        "acc_stderr": 0.1,
    }
    assert numbers(
        {
            "exact_match,strict-match": 0.5,
            "exact_match_stderr,strict-match": "N/A",
            "exact_match,flexible-extract": 1,
            "exact_match_stderr,flexible-extract": 0.25,
        }
    ) == {
        "exact_match_strict_match": 0.5,
        "exact_match_flexible_extract": 1.0,
        "exact_match_flexible_extract_stderr": 0.25,
    }


def test_names_of_several_filters_are_known_to_the_registry() -> None:
    for name in ("exact_match_strict_match", "exact_match_flexible_extract_stderr", "pass@1", "acc_norm"):
        assert definition_of(f"eval/suite/{name}") is not None


@pytest.mark.parametrize("value", ["N/A", "0.5", None, (1, 2), [0.5], {}, float("nan"), math.inf, np.float64("nan")])
def test_what_is_no_finite_number_is_left_out(value: object) -> None:
    assert as_number(value) is None


@pytest.mark.parametrize("value", [1, True, 0.5, np.float32(0.5), np.int64(3), np.bool_(True)])
def test_every_kind_of_number_is_one(value: object) -> None:
    assert as_number(value) == float(value)  # type: ignore[arg-type]


@given(st.text(min_size=1), st.text(min_size=1))
def test_a_name_is_always_one_part_of_a_path(metric: str, filter_name: str) -> None:
    name = metric_name(metric, filter_name, 2)
    assert "/" not in name
    assert name.replace("@", "").replace("_", "").isascii()
