"""When a run's figures must not be compared."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from vllm_quality.load.figures.metrics import figures_of
from vllm_quality.load.figures.trust import lag_p99_s, problem_of
from vllm_quality.load.result import Calibration, StageResult
from vllm_quality.load.scenario import Trust
from vllm_quality.load.schedule import Constant
from vllm_quality_tests.load.figures.recording import Recorder, three

CALIBRATION = Calibration(400, 20_000, 1000, 0.0005, 0.003, 0.0, 0.001, 3.0)


def stage(recorder: Recorder, *, probe: bool = False) -> StageResult:
    frame, gaps = recorder.merged()
    figures = figures_of(frame, gaps, open_loop=True)
    load = Constant(type="constant", rate=1, duration_s=10)
    return StageResult("s", load, datetime.now(UTC), frame, gaps, figures, None, "too short", None, probe=probe)


def test_a_good_run_has_no_problem(tmp_path: Path) -> None:
    assert problem_of([stage(three(tmp_path))], [0.0] * 100, Trust(min_ok=2), CALIBRATION, None) is None
    assert problem_of([stage(three(tmp_path))], [], Trust(min_ok=2), None, None) is None


@pytest.mark.parametrize(
    ("trust", "lags", "stop", "sentence"),
    [
        (Trust(min_ok=3), [], None, "Only 2 of 3 requests succeeded (mostly truncated, 1 times)"),
        (Trust(min_ok=1, max_failed_share=0.2), [], None, "Only 2 of 3 requests succeeded"),
        (Trust(min_ok=1), [0.0] * 50 + [0.2] * 50, None, "client_bound: this client itself was 200.0 ms late"),
        (Trust(min_ok=1), [], "it was interrupted", "The run ended early, after 3 requests: it was interrupted."),
    ],
)
def test_why_figures_must_not_be_compared(
    tmp_path: Path, trust: Trust, lags: list[float], stop: str | None, sentence: str
) -> None:
    problem = problem_of([stage(three(tmp_path))], lags, trust, None, stop)
    assert problem is not None
    assert problem.startswith(sentence)
    assert problem.endswith(".")


def test_fewer_requests_than_must_succeed_may_all_have_succeeded(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    recorder.add(0, [0.1])
    assert problem_of([stage(recorder)], [], Trust(min_ok=5), None, None) is None


def test_nothing_sent_is_nothing_measured(tmp_path: Path) -> None:
    assert problem_of([], [], Trust(), None, None) == "No request was sent, so nothing was measured."
    assert problem_of([stage(Recorder(tmp_path))], [], Trust(), None, None) is not None


def test_requests_that_left_late_are_the_clients_fault(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    for index in range(100):
        recorder.add(index, [index + 0.1, index + 0.2])  # each dispatched 1 ms after it was due
    problem = problem_of([stage(recorder)], [0.0], Trust(client_lag_p99_s=0.0005), None, None)
    assert problem is not None
    assert problem.startswith("client_bound: this client itself was 1.0 ms late (p99; 0.5 ms are allowed)")


def test_a_client_that_measures_a_known_server_wrong_is_the_bottleneck(tmp_path: Path) -> None:
    problem = problem_of([stage(three(tmp_path))], [0.0], Trust(min_ok=1, client_lag_p99_s=0.002), CALIBRATION, None)
    assert problem is not None
    assert problem.startswith("client_bound: before the run this client measured TTFT wrong by 3.0 ms")
    assert "at 400 streams (2 ms are allowed)" in problem


def test_probes_of_a_capacity_search_may_fail(tmp_path: Path) -> None:
    failed = Recorder(tmp_path / "failed")
    for index in range(20):
        failed.add(index, outcome="timeout")
    good = Recorder(tmp_path / "good")
    good.add(0, [0.1])
    probes = [stage(good, probe=True), stage(failed, probe=True)]
    assert problem_of(probes, [], Trust(), None, None) is None
    # But one answer there must have been.
    problem = problem_of(probes[1:], [], Trust(), None, None)
    assert problem is not None
    assert problem.startswith("Only 0 of 20 requests succeeded (mostly timeout, 20 times)")


def test_no_lag_was_seen_where_none_was_watched() -> None:
    assert lag_p99_s([]) == 0.0
