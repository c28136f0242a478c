"""The detection bench once more from its beginning: a release recorded on a real vLLM, judged against the recorded set.

One suite of it, Korean words against their shuffled syllables: noise on the weights shows in no score there (this model then
answers a little better), and clearly in the right answers' logprob.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from vllm_quality_tests.detection.judging import judge
from vllm_quality_tests.detection.record import items_of, record
from vllm_quality_tests.detection.recordings import load_items
from vllm_quality_tests.detection.replay import Recorded, load
from vllm_quality_tests.detection.runs import run_of
from vllm_quality_tests.detection.serving import Server, server_of
from vllm_quality_tests.detection.suites import ensure_suites
from vllm_quality_tests.detection.variants import Variant
from vllm_quality_tests.live.conftest import or_skip
from vllm_quality_tests.live.models import Models

pytestmark = pytest.mark.live

SUITE = "det_syllables"
GOOD = Variant("aa", "good", "the same release again", suites=(SUITE,))
NOISY = Variant("noise_05", "bad", "noise on the weights, 0.05", {"noise": 0.05}, suites=(SUITE,))


@pytest.fixture(scope="module")
def recorded() -> Recorded:
    return load()


@pytest.fixture(scope="module")
def tasks() -> Path:
    folder = or_skip(ensure_suites)
    assert items_of(folder) == load_items()
    return folder


@pytest.fixture(scope="module")
def server(models: Models, tasks: Path) -> Iterator[Server]:
    with server_of(GOOD) as started:
        yield started


def test_the_same_release_again_is_no_alarm(server: Server, tasks: Path, recorded: Recorded) -> None:
    again = run_of(record(GOOD, server, tasks, dict(recorded.items)), recorded.items, recorded.again[0])
    # Other kernels on another machine may answer a few differently.
    assert (again.primary(SUITE) == recorded.again[0].primary(SUITE)).mean() > 0.95
    assert judge(recorded.histories("mixed", "", 1)[0], again).worse == ()


def test_a_damaged_release_is_caught_before_its_answers_are_worse(
    server: Server, tasks: Path, recorded: Recorded
) -> None:
    noisy = run_of(record(NOISY, server, tasks, dict(recorded.items)), recorded.items, recorded.again[0])
    judged = judge(recorded.histories("mixed", "", 1)[0], noisy)
    assert f"{SUITE}/gold_logprob" in judged.worse
    assert judged.verdict.status == "worse"
