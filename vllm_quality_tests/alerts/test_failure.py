"""Why a run failed, in a sentence that holds neither a traceback nor a secret."""

from dataclasses import dataclass

import pytest

from vllm_quality.alerts.failure import sentence


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
            "The disk is full; free room below VLLM_QUALITY_HOME and DAGSTER_HOME, then run it again.",
        ),
    ],
)
def test_sentence(error: Info, text: str) -> None:
    assert sentence(error) == text
