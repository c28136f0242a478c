"""A judge that moved is not blamed on the release: real suites, one real store, and the verdict on them."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from vllm_quality.eval.canary_run import canary_answers
from vllm_quality.eval.judge import JudgeSettings
from vllm_quality.results.database import ResultStore
from vllm_quality.results.judge_history import judge_moves
from vllm_quality.results.measurement import Measurement
from vllm_quality.results.objects import FileObjects
from vllm_quality.results.run_folder import RunFolder
from vllm_quality.verdict.judge import PastValues, judge
from vllm_quality.verdict.thresholds import Thresholds
from vllm_quality.verdict.types import Finding, Verdict
from vllm_quality_tests.eval.evals.eval_files import CRITERIA, add_up, sums, write_eval, write_rows
from vllm_quality_tests.eval.evals.test_run import run as run_eval_file
from vllm_quality_tests.eval.graders.test_schema import SCORE
from vllm_quality_tests.eval.test_deepeval_suite import right, run, snapshot
from vllm_quality_tests.results.samples import NOON, result_rows, run_row
from vllm_quality_tests.servers.openai_api import Body, OpenAIServer

RAG, EXACT = "eval/deepeval/rag_accuracy_score", "eval/deepeval/exact_answer_score"


@pytest.fixture(autouse=True)
def _framework_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DEEPEVAL_HOME", "DEEPEVAL_CACHE_FOLDER", "DEEPEVAL_RESULTS_FOLDER"):
        monkeypatch.setenv(name, str(tmp_path))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ResultStore]:
    import chdb

    (tmp_path / "results").mkdir()
    handle = chdb.connect(str(tmp_path / "results"))
    yield ResultStore(f"chdb://{tmp_path / 'results'}")
    handle.close()


def grading(score: int) -> Callable[[Body], str]:
    """A judge that gives this grade to what is right, and 0 to "I forgot"."""
    return lambda body: f'{{"reason": "r", "score": {0 if "I forgot" in body["messages"][0]["content"] else score}}}'


class Releases:
    """Releases evaluated one after another by one judge model."""

    def __init__(self, tmp_path: Path, store: ResultStore) -> None:
        self.objects, self.store = FileObjects(tmp_path / "objects"), store
        self.past: list[PastValues] = []

    def evaluate(self, number: int, *, grade: int, answer: Callable[[Body], Any] = right) -> Verdict:
        run_id = f"run-{number}"
        with OpenAIServer(answer=answer) as server, OpenAIServer(answer=grading(grade), model="judge") as judging:
            settings = JudgeSettings(f"{judging.base_url}/v1", "judge")
            suite = run(server, snapshot(8, context=True), judge=settings)
        folder = RunFolder(self.objects, run_id)
        files = {"samples": folder.put_frame("samples", suite.samples)}
        measured = Measurement(suite.step, suite.metrics, suite.comparable, suite.problem, files)
        barred = judge_moves([measured], folder, self.store, [past.run_id for past in self.past])
        verdict = judge([measured], self.past, Thresholds(), barred)
        self.store.write_samples(run_id, f"release-{number}", suite.samples)
        self.store.write_results(result_rows(run_id, suite.metrics))
        self.store.write_run(run_row(run_id, finished_at=NOON + timedelta(hours=number)))
        self.past.insert(0, PastValues(run_id, verdict.status, {suite.step: suite.comparable}, suite.metrics))
        return verdict


def finding(verdict: Verdict, metric: str) -> Finding:
    return next(finding for finding in verdict.findings if finding.metric == metric)


def test_a_judge_that_moved_is_not_blamed_on_the_release(tmp_path: Path, store: ResultStore) -> None:
    releases = Releases(tmp_path, store)
    releases.evaluate(1, grade=9)
    assert finding(releases.evaluate(2, grade=9), RAG).status == "pass"
    moved = releases.evaluate(3, grade=6)
    told = finding(moved, RAG)
    assert told.status == "not_comparable"
    assert told.reason == ("the judge moved: its mean score of 54 frozen answers went by -0.30, so it is not compared.")
    assert finding(moved, EXACT).status == "pass"  # nobody judged that
    assert moved.status == "not_comparable"
    assert not any("canary" in found.metric for found in moved.findings)
    # From then on the judge is as it is, and only runs that it judged so are compared with.
    after = releases.evaluate(4, grade=6)
    assert finding(after, RAG).status == "pass"
    assert finding(after, RAG).baseline == pytest.approx(0.6)


def test_a_release_that_is_worse_under_the_same_judge_is_worse(tmp_path: Path, store: ResultStore) -> None:
    releases = Releases(tmp_path, store)
    releases.evaluate(1, grade=9)
    worse = releases.evaluate(2, grade=9, answer=lambda body: "I forgot.")
    assert finding(worse, RAG).status == "worse"


def test_a_run_without_a_judge_bars_nothing(tmp_path: Path, store: ResultStore) -> None:
    folder = RunFolder(FileObjects(tmp_path / "objects"), "run-1")
    with OpenAIServer(answer=right) as server:
        suite = run(server, snapshot(8, context=True))
    files = {"samples": folder.put_frame("samples", suite.samples)}
    measured = Measurement(suite.step, suite.metrics, suite.comparable, suite.problem, files)
    assert judge_moves([measured], folder, store, ["run-0"]) == {}
    assert not [metric for metric in suite.metrics if "canary" in metric]


def test_evals_have_a_canary_of_their_own(tmp_path: Path, store: ResultStore) -> None:
    """Graders ask the judge in another way than deepeval's metrics: it may move in one and not in the other."""
    objects = FileObjects(tmp_path / "objects")
    frozen = canary_answers("smoke")
    eval_file = write_eval(tmp_path, criteria=[{**SCORE, "range": [0, 10], "pass_threshold": 5}, CRITERIA[0]])
    rows = write_rows(tmp_path, sums(4))
    barred: dict[str, dict[str, str]] = {}
    for number, grade in enumerate((9, 6)):
        verdict = json.dumps({"steps": [], "result": grade})
        with OpenAIServer(answer=add_up) as server, OpenAIServer(answer=lambda body: verdict, model="judge") as judging:  # noqa: B023
            settings = JudgeSettings(f"{judging.base_url}/v1", "judge")
            suite = run_eval_file(eval_file, rows, server, judge=settings, frozen=frozen)
        folder = RunFolder(objects, f"run-{number}")
        files = {"samples": folder.put_frame("samples", suite.samples)}
        measured = Measurement(suite.step, suite.metrics, suite.comparable, suite.problem, files)
        barred = judge_moves([measured], folder, store, [f"run-{earlier}" for earlier in reversed(range(number))])
        store.write_samples(f"run-{number}", f"release-{number}", suite.samples)
    reason = {"run-0": "the judge moved: its mean score of 18 frozen answers went by -0.30"}
    names = ("my_score_model_score", "my_score_model_pass_ratio", "every_criterion_pass_ratio")
    assert barred == {f"eval/sums/{name}": reason for name in names}
