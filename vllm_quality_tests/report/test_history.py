"""The history lines show what each release was called, and say the same as a table."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from vllm_quality.report.history import Past, history, history_line
from vllm_quality.report.units import Scale
from vllm_quality_tests.report.html_page import whole
from vllm_quality_tests.report.judged import judged_release
from vllm_quality_tests.report.releases import past, release

ANY = st.floats(-1e6, 1e6, allow_nan=False)


@given(st.lists(ANY, max_size=20), ANY, st.none() | ANY, st.sampled_from(["worse", "pass", ""]))
def test_a_line(earlier: list[float], now: float, worse_from: float | None, verdict: str) -> None:
    points = [Past(f"tag<{index}>", value, index % 2 == 0, "worse") for index, value in enumerate(earlier)]
    svg = whole(history_line("eval/a/acc", points, Past("now", now, True, verdict), Scale(1, " s", 2), worse_from))
    assert svg.count("<title>") == len(earlier) + 1
    assert svg.count("bad-fill") == len(earlier) + (verdict == "worse")
    assert svg.count("<circle") == (verdict != "worse")


def test_the_newest_release_is_last_and_verdicts_are_told() -> None:
    found = history(judged_release({"gsm8k": 0.06}, asked={"gsm8k": 400}))
    assert found is not None
    assert [(tag, verdict) for tag, verdict, _ in found.rows] == [
        ("release-1.3.4", "worse"),
        *((f"release-1.3.{number}", "pass") for number in (5, 6, 7, 8)),
        ("release-1.4.0", "worse"),
    ]
    assert found.titles[0] == "exact match, gsm8k"
    assert all(len(values) == len(found.titles) for _, _, values in found.rows)
    assert "release-1.3.4: " in found.charts[0]
    assert "oldest release first" in found.charts[0]


def test_a_suites_first_chart_is_of_how_good_its_answers_are() -> None:
    report = release()
    (_, korean, *_) = report.measurements
    signal, score = "eval/basics_ko/gold_logprob", "eval/basics_ko/exact_match"
    for metrics, title in (({signal: -1.1, score: 0.6}, "exact match"), ({signal: -1.1}, "gold logprob")):
        found = history(replace(report, measurements=[replace(korean, metrics=metrics)]))
        assert found is not None
        assert found.titles == [f"{title}, basics_ko"]


def test_a_loss_begins_to_matter_at_the_dashed_line() -> None:
    found = history(judged_release(asked={"gsm8k": 400}))
    assert found is not None
    assert all('class="limit"' in chart for chart in found.charts if "exact match" in chart)


def test_other_conditions_are_hollow_and_no_past_is_no_history() -> None:
    found = history(release(history=(past(1), past(2, alike=False))))
    assert found is not None
    assert 'class="past"><title>release-1.3.8: ' in found.charts[0]
    assert 'class="past other"><title>release-1.3.7: ' in found.charts[0]
    assert 'class="now' in found.charts[0]
    assert history(replace(release(), history=())) is None
