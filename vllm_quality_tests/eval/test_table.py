"""The table of suites: score ± standard error, counts by status, the slowest part, and why not to trust it."""

from rich.console import Console

from vllm_quality.eval.table import slowest_part, suite_table
from vllm_quality.results.measurement import Measurement

SUITE = Measurement(
    step="eval/kobest",
    metrics={
        "eval/kobest/acc": 0.515,
        "eval/kobest/acc_stderr": 0.0312,
        "eval/kobest/f1": 0.4,
        "eval/kobest/boolq/acc": 0.9,
        "eval/kobest/hangul_ratio": 0.5,
        "eval/kobest/items_count": 200.0,
        "eval/kobest/infra_errors_count": 7.0,
    },
    comparable="c",
    problem="7 of 200 items have no score.",
    details={"seconds": {"loading": 1.0, "asking": 12.34}, "duration_s": 13.34},
)


def shown(*suites: Measurement) -> list[str]:
    console = Console(width=150, record=True, file=None, quiet=False)
    with console.capture() as captured:
        console.print(suite_table(suites))
    return captured.get().splitlines()


def test_a_suite_is_shown_with_how_sure_its_scores_are_and_what_took_longest() -> None:
    text = shown(SUITE)
    assert "51.5 ± 3.1 %" in text[1]
    assert text[1].split()[:2] == ["kobest", "acc"]
    assert " 200 " in text[1]
    assert " 7 " in text[1]
    assert "asking, 12.3 s" in text[1]
    assert "40.0 %" in text[2]
    assert text[3].strip() == "kobest: 7 of 200 items have no score."
    assert not any("90.0" in line or "hangul" in line for line in text)


def test_a_suite_without_scores_still_has_its_row() -> None:
    bare = Measurement("eval/empty", {}, "c")
    assert slowest_part(bare) == ""
    assert shown(bare)[1].split()[0] == "empty"
