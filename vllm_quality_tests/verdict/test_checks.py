"""An asset check says what is worse, what was measured again, and what moved beside it."""

from dataclasses import replace

import dagster as dg
import pytest

from vllm_quality.verdict.checks import check_findings
from vllm_quality.verdict.types import Finding, Moved, Repeat
from vllm_quality_tests.verdict.test_types import FINE

WORSE = replace(FINE, status="worse", effect=-0.05, matters=0.02, budget=0.005, reason="-5 points.")
SIGNAL = Moved("eval/basics/answer_chars", "length of the answers", 212.0, 187.0, -28.0, -22.0, 1e-6, 400)


def rows(result: dg.AssetCheckResult, name: str) -> list[dict[str, str | int | float | None]]:
    table = result.metadata[name]
    assert isinstance(table, dg.TableMetadataValue)
    columns = [column.name for column in table.schema.columns]
    found = [dict(record.data) for record in table.records]
    assert all(list(row) == columns for row in found)
    return found


def test_the_table_has_the_second_measurement_and_the_limits_in_the_metrics_unit() -> None:
    logprob = replace(WORSE, metric="eval/basics/gold_logprob", unit="nats/byte", repeat="confirmed", current=-1.1)
    (row,) = rows(check_findings([logprob], "quality"), "findings")
    assert {name: row[name] for name in ("repeat", "unit", "current", "matters", "budget")} == {
        "repeat": "confirmed",
        "unit": "nats/byte",
        "current": -1.1,
        "matters": 0.02,
        "budget": 0.005,
    }


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (FINE, "refuted", "2 metrics show no loss. One suspicion was measured again and not borne out."),
        (
            WORSE,
            "refuted",
            "1 of 2 metrics are worse: eval/basics/exact_match: -5 points. "
            "One suspicion was measured again and not borne out.",
        ),
        (FINE, "", "2 metrics show no loss."),
    ],
)
def test_the_description_tells_of_suspicions_that_were_not_borne_out(first: Finding, second: Repeat, said: str) -> None:
    other = replace(FINE, metric="eval/other/acc", repeat=second)
    result = check_findings([first, other], "quality")
    assert result.description == said
    assert result.passed is (first is FINE)


def test_signals_that_moved_are_a_table_and_fail_nothing() -> None:
    result = check_findings([FINE], "quality", [SIGNAL])
    assert result.passed
    (row,) = rows(result, "moved")
    assert (row["signal"], row["before"], row["now"], row["items"]) == ("eval/basics/answer_chars", 212.0, 187.0, 400)
    assert "moved" not in check_findings([FINE], "quality").metadata
