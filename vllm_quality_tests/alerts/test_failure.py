"""Why a run failed, in a sentence that holds neither a traceback nor a secret."""

from dataclasses import dataclass

import pytest

from vllm_quality.alerts.failure import died_outside_of_steps, explain_failure


@dataclass(frozen=True)
class Info:
    """An error as Dagster stores it."""

    message: str
    cls_name: str | None = None
    cause: "Info | None" = None
    context: "Info | None" = None


OURS = Info("vllm_quality.serving.endpoint.EndpointError: The server\n is gone; start it.\n", "EndpointError")
WRAPPED = "dagster._core.errors.DagsterExecutionStepExecutionError: Error occurred while executing op"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OURS, "The server is gone; start it."),
        (Info(WRAPPED, cause=OURS), "The server is gone; start it."),
        (Info(WRAPPED, cause=Info("KeyError: 'x'\n", "KeyError", context=OURS)), "The server is gone; start it."),
        (Info("vllm_quality.errors.UserError: Outer.", cause=OURS), "The server is gone; start it."),
        (Info("vllm_quality.errors.UserError: Ours.", cause=Info("httpx.ConnectError: sig=1")), "Ours."),
        (
            Info(WRAPPED, cause=Info("ValueError: password=hunter2\n", "ValueError")),
            "An unexpected ValueError; the run's log in Dagster has the traceback.",
        ),
        (
            Info("vllm_quality.alerts.teams._TryAgainError: not for people", "_TryAgainError"),
            "An unexpected _TryAgainError; the run's log in Dagster has the traceback.",
        ),
        (
            Info("vllm_quality.gone.module.GoneError: text", "GoneError"),
            "An unexpected GoneError; the run's log in Dagster has the traceback.",
        ),
        (
            Info(WRAPPED, cause=Info("OSError: [Errno 28] No space left on device: '/x'", "OSError")),
            "The disk is full.",
        ),
    ],
)
def test_the_cause_is_one_sentence(error: Info, text: str) -> None:
    failure = explain_failure("results", error)
    assert (failure.step, failure.cause) == ("results", text)


@pytest.mark.parametrize(
    ("error", "action"),
    [
        ("vllm_quality.serving.endpoint.EndpointError: It is gone.", "Bring the release's endpoint up"),
        ("vllm_quality.serving.endpoint.EndpointNotReadyError: Not yet.", "Bring the release's endpoint up"),
        ("vllm_quality.results.rows.ResultsError: ClickHouse is away.", "Bring the store back"),
        ("vllm_quality.results.objects.ObjectsError: S3 is away.", "Bring the store back"),
        ("vllm_quality.results.rows.ResultsError: There is no space left for it.", "Free room"),
        ("vllm_quality.results.publish.MissingStepError: No measurement of eval/x.", "Materialize the step"),
        ("vllm_quality.settings.SettingsError: VLLM_QUALITY_PROFILE cannot be used.", "Correct what the cause names"),
        ("vllm_quality.load.scenario.ScenarioError: No such key.", "Correct what the cause names"),
        ("vllm_quality.datasets.snapshot.SnapshotError: It is gone.", "Repair the data set"),
        ("vllm_quality.eval.judge.JudgeSettingsError: No judge.", "Bring the judge"),
        ("vllm_quality.errors.UserError: Whatever.", "Do what the cause says"),
        ("OSError: [Errno 28] No space left on device", "Free room"),
        ("KeyError: 'x'", "Open the run's log"),
    ],
)
def test_the_next_action_is_that_of_the_kind_of_error(error: str, action: str) -> None:
    failure = explain_failure(None, Info(WRAPPED, cause=Info(error, "SomeError")))
    assert failure.action.startswith(action)
    assert "from failure" in failure.action or "launch the release again" in failure.action.lower()


def test_a_worker_that_is_gone() -> None:
    failure = died_outside_of_steps("The run's worker is gone.")
    assert failure.step is None
    assert "evicted" in failure.action
