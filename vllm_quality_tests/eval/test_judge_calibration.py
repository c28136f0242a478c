"""What `judge calibrate` says of judges whose faults are known."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from vllm_quality.cli import cli
from vllm_quality.errors import UserError
from vllm_quality.eval.agreement import cohen_kappa, correlation, estimate, mean
from vllm_quality.eval.judge import JudgeSettings
from vllm_quality.eval.judge_calibration import Calibration, CalibrationError, calibrate
from vllm_quality.eval.labelled import PACKAGED_LABELS, load_labels
from vllm_quality_tests.eval.task_files import QUICK
from vllm_quality_tests.eval.test_judged_metrics import field
from vllm_quality_tests.servers.openai_api import Body, Fault, OpenAIServer

RIGHT = {(answer.question, answer.answer): answer.right for answer in load_labels()}


def prompt_of(body: Body) -> str:
    return str(body["messages"][0]["content"])


def knows(prompt: str) -> bool:
    return RIGHT[field(prompt, "Input"), field(prompt, "Actual Output")]


def preferring(prompt: str) -> str:
    """The better one, of a judge that knows."""
    question = prompt.partition("Question: ")[2].partition("\n\n")[0]
    first = prompt.partition("First answer: ")[2].partition("\n\n")[0]
    return "first" if RIGHT[question, first] else "second"


def judging(
    score: Callable[[str], int] = lambda prompt: 9 if knows(prompt) else 1,
    better: Callable[[str], str] = preferring,
) -> Callable[[Body], str]:
    def answer(body: Body) -> str:
        prompt = prompt_of(body)
        if prompt == "Say yes.":
            return "yes"
        if "First answer:" in prompt:
            return json.dumps({"reason": "r", "better": better(prompt)})
        return json.dumps({"reason": "r", "score": score(prompt)})

    return answer


def calibrated(server: OpenAIServer, tmp_path: Path) -> Calibration:
    return calibrate(
        JudgeSettings(f"{server.base_url}/v1", "fake"),
        load_labels(),
        labels=PACKAGED_LABELS,
        concurrency=4,
        timeout_s=5,
        work_folder=tmp_path,
        retry=QUICK,
    )


def test_a_judge_that_knows_agrees(server: OpenAIServer, tmp_path: Path) -> None:
    server.answer = judging()
    found = calibrated(server, tmp_path)
    assert (found.all.kappa.value, found.all.accuracy.value, found.all.answers) == (1, 1, 54)
    assert found.all.mean_error.value == pytest.approx(0, abs=1e-9)
    assert (found.position.pairs, found.position.consistent.value, found.position.first.value) == (18, 1, 0.5)
    assert found.position.right.value == 1
    assert set(found.languages) == {"en", "ko"}
    assert found.judge_errors == 0
    assert len(server.requests) == 1 + 54 + 2 * 18  # bounded


def test_a_judge_that_likes_everything_does_not_agree(server: OpenAIServer, tmp_path: Path) -> None:
    server.answer = judging(score=lambda prompt: 9)
    found = calibrated(server, tmp_path)
    assert found.all.kappa.value == 0
    assert found.all.accuracy.value == pytest.approx(0.5)
    assert found.all.mean_error.value == pytest.approx(0.4)


def test_a_judge_that_takes_the_first_is_found_out(server: OpenAIServer, tmp_path: Path) -> None:
    server.answer = judging(better=lambda prompt: "first")
    position = calibrated(server, tmp_path).position
    assert (position.consistent.value, position.first.value, position.right.value) == (0, 1, 0.5)


def test_a_judge_that_likes_length_is_found_out(server: OpenAIServer, tmp_path: Path) -> None:
    server.answer = judging(score=lambda prompt: min(10, len(field(prompt, "Actual Output")) // 8))
    bias = calibrated(server, tmp_path).length_bias
    assert bias.value is not None
    assert bias.low is not None
    assert bias.low > 0.1
    server.answer = judging()
    assert calibrated(server, tmp_path).length_bias.value is None  # it makes no errors that could vary with it
    server.answer = judging(score=lambda prompt: 5 + (4 if knows(prompt) else -4) + len(prompt) % 2)
    unbiased = calibrated(server, tmp_path).length_bias
    assert unbiased.low is not None
    assert unbiased.high is not None
    assert unbiased.low < 0 < unbiased.high


def test_a_judge_that_knows_no_korean_is_found_out(server: OpenAIServer, tmp_path: Path) -> None:
    hangul = {answer.question for answer in load_labels() if answer.language == "ko"}
    server.answer = judging(score=lambda prompt: 9 if field(prompt, "Input") in hangul or knows(prompt) else 1)
    found = calibrated(server, tmp_path)
    assert (found.languages["en"].kappa.value, found.languages["ko"].kappa.value) == (1, 0)


def test_a_judge_that_breaks_its_json_is_calibrated_on_the_rest_or_refused(
    server: OpenAIServer, tmp_path: Path
) -> None:
    server.answer = judging()
    lost = {answer.answer for answer in load_labels()[:3]}
    server.fault = lambda n, path, body: Fault(status=400) if field(prompt_of(body), "Actual Output") in lost else None
    found = calibrated(server, tmp_path)
    assert (found.judge_errors, found.all.answers, found.all.kappa.value) == (3, 51, 1)
    server.answer = lambda body: "no JSON today"
    with pytest.raises(CalibrationError, match="failed at 54 of 54 answers"):
        calibrated(server, tmp_path)


def test_labels_that_are_all_alike_say_nothing(server: OpenAIServer, tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="calls all answers alike"):
        calibrate(
            JudgeSettings(f"{server.base_url}/v1", "fake"),
            [answer for answer in load_labels() if answer.right],
            labels=Path("mine.jsonl"),
            concurrency=1,
            timeout_s=5,
            work_folder=tmp_path,
        )


@pytest.fixture
def configured(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> OpenAIServer:
    monkeypatch.setenv("VLLM_QUALITY_JUDGE_URL", f"{server.base_url}/v1")
    monkeypatch.setenv("VLLM_QUALITY_JUDGE_MODEL", "fake")
    return server


def command(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["judge", "calibrate", *arguments], standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return int(done.return_value), done.stdout


def test_the_command_prints_a_table_and_says_whether_it_is_enough(configured: OpenAIServer) -> None:
    configured.answer = judging()
    code, printed = command()
    assert code == 0
    assert "fake agrees with the labels: kappa 1.00, wanted at least 0.6." in printed
    assert "the winner is the same in 1.00" in printed
    configured.answer = judging(score=lambda prompt: 9)
    assert command()[0] == 1
    assert command("--min-kappa", "-0.5")[0] == 0


def test_the_command_prints_json(configured: OpenAIServer) -> None:
    configured.answer = judging()
    code, printed = command("--json")
    told = json.loads(printed)
    assert (code, told["passed"], told["all"]["kappa"]["value"]) == (0, True, 1)
    assert told["languages"]["ko"]["answers"] == 27


def test_the_command_takes_labels_of_ones_own(configured: OpenAIServer, tmp_path: Path) -> None:
    rows = [
        {"question": "1+1?", "answer": "2", "reference": "2", "label": 1},
        {"question": "1+1?", "answer": "3", "reference": "2", "label": False},
    ]
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    configured.answer = judging(
        score=lambda prompt: 9 if field(prompt, "Actual Output") == "2" else 1, better=lambda prompt: "first"
    )
    code, printed = command("--labels", str(tmp_path / "mine.jsonl"), "--json")
    assert (code, json.loads(printed)["all"]["answers"]) == (0, 2)


def test_without_a_judge_it_is_an_error() -> None:
    with pytest.raises(UserError, match="No judge is set; set VLLM_QUALITY_JUDGE_URL"):
        command()


@pytest.mark.parametrize(
    ("pairs", "kappa"),
    [
        # Cohen's own form: 20 yes-yes, 15 no-no of 50, 5 and 10 apart.
        ([(True, True)] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [(False, False)] * 15, 0.4),
        ([(True, True), (False, False)], 1),
        ([(True, False), (False, True)], -1),
        ([(True, True)], None),
        ([], None),
    ],
)
def test_kappa(pairs: list[tuple[bool, bool]], kappa: float | None) -> None:
    assert cohen_kappa(pairs) == (None if kappa is None else pytest.approx(kappa))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1))
def test_kappa_is_within_its_bounds_and_takes_no_side(pairs: list[tuple[bool, bool]]) -> None:
    kappa = cohen_kappa(pairs)
    assert kappa is None or -1 - 1e-9 <= kappa <= 1
    assert cohen_kappa([(right, left) for left, right in pairs]) == (None if kappa is None else pytest.approx(kappa))


def test_an_interval_covers_the_value_and_is_always_the_same() -> None:
    values = [0.0, 1.0] * 50
    found = estimate(mean, values, range(100))
    assert found == estimate(mean, values, range(100))
    assert [found.value, found.low, found.high] == pytest.approx([0.5, 0.4, 0.6], abs=0.03)
    # Answers that go together say less.
    clustered = estimate(mean, sorted(values), [number // 10 for number in range(100)])
    assert clustered.low is not None
    assert clustered.low < (found.low or 0) - 0.1
    assert estimate(mean, [1.0], ["one"]).low is None


def test_correlation() -> None:
    assert correlation([(1, 2), (2, 4), (3, 6)]) == pytest.approx(1)
    assert correlation([(1, 5), (2, 5)]) is None
