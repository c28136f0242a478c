"""Which requests keep a scenario's limits."""

from pathlib import Path
from typing import Any

import pytest

from vllm_quality.load.figures.goodput import good
from vllm_quality.load.scenario import Slo
from vllm_quality_tests.load.figures.recording import Recorder


def is_good(folder: Path, slo: Slo, *request: Any, open_loop: bool = True, **more: Any) -> bool:
    recorder = Recorder(folder)
    recorder.add(*request, **more)
    frame, _ = recorder.merged()
    kept = frame.select(good(slo, open_loop=open_loop)).to_series()
    assert kept.null_count() == 0
    return bool(kept[0])


# due 0, sent 0.002; first token at 0.1, last at 0.5: tpot and mean itl 0.2, e2e 0.5
TIMES = [0.1, 0.2, 0.5]


@pytest.mark.parametrize(
    ("slo", "kept"),
    [
        (Slo(ttft=0.1001), True),
        (Slo(ttft=0.0999), False),
        (Slo(tpot=0.2001), True),
        (Slo(tpot=0.1999), False),
        (Slo(itl=0.2001), True),  # the mean of its own, though one of them is longer
        (Slo(itl=0.1999), False),
        (Slo(e2e=0.5001), True),
        (Slo(e2e=0.4999), False),
        (Slo(ttft=1, e2e=0.4999), False),
    ],
)
def test_every_limit_must_be_kept(tmp_path: Path, slo: Slo, kept: bool) -> None:
    assert is_good(tmp_path, slo, 0, TIMES) is kept


def test_limits_count_from_when_a_request_was_due(tmp_path: Path) -> None:
    assert not is_good(tmp_path / "open", Slo(ttft=0.099), 0, TIMES, sent=0.05)
    assert is_good(tmp_path / "closed", Slo(ttft=0.099), 0, TIMES, sent=0.05, open_loop=False)


def test_a_failed_request_is_not_good(tmp_path: Path) -> None:
    assert not is_good(tmp_path / "a", Slo(ttft=9), 0, TIMES, outcome="truncated")
    assert not is_good(tmp_path / "b", Slo(ttft=9), 0, outcome="connect_error")


def test_one_token_has_no_time_between_tokens_to_be_too_long(tmp_path: Path) -> None:
    assert is_good(tmp_path, Slo(tpot=1e-9, itl=1e-9), 0, [0.1])


def test_an_answer_in_one_piece_has_its_first_token_at_its_end(tmp_path: Path) -> None:
    assert is_good(tmp_path / "a", Slo(ttft=0.6), 0, output=5)
    assert not is_good(tmp_path / "b", Slo(ttft=0.4), 0, output=5)
