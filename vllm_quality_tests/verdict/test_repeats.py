"""What is left of suspicions, in a sentence that the summary, the checks and the report share."""

from dataclasses import replace

import pytest

from vllm_quality.verdict.judge import NOTHING, conclude
from vllm_quality.verdict.repeats import repeat_remark
from vllm_quality.verdict.types import Repeat
from vllm_quality_tests.verdict.test_types import FINE

REFUTED = "One suspicion was measured again and not borne out."


@pytest.mark.parametrize(
    ("repeats", "said"),
    [
        ((), ""),
        (("", "confirmed"), ""),
        (("refuted",), REFUTED),
        (("refuted", "refuted"), "2 suspicions were measured again and not borne out."),
        (("failed",), "One suspicion stays unconfirmed, as its second measurement failed."),
        (
            ("failed", "refuted", "failed"),
            f"{REFUTED} 2 suspicions stay unconfirmed, as their second measurements failed.",
        ),
    ],
)
def test_what_is_left_of_suspicions(repeats: tuple[Repeat, ...], said: str) -> None:
    assert repeat_remark(replace(FINE, repeat=repeat) for repeat in repeats) == said


def test_the_summary_ends_with_it_whether_it_was_a_metric_or_a_part_of_a_suite() -> None:
    refuted = replace(FINE, repeat="refuted")
    for findings, slices in (([refuted], []), ([FINE], [replace(refuted, metric=f"{FINE.metric}[x]")])):
        assert conclude(findings, slices, ["run"], NOTHING).summary == (
            f"Not worse: 1 judged metrics show no loss, against 1 earlier run. {REFUTED}"
        )
    assert conclude([FINE], [], ["run"], NOTHING).summary.endswith("against 1 earlier run.")
