"""The command line's manners: exit codes, and a sentence instead of a traceback."""

import errno
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from vllm_quality.cli import explain, main
from vllm_quality.errors import UserError


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "vllm_quality", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_help_says_what_it_is_for() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert "worse than the ones before it" in done.stdout


@pytest.mark.parametrize("arguments", [("evaluate",), ("evaluate", "release-1", "--profile", "huge"), ("nothing",)])
def test_a_wrong_command_is_exit_2_not_1_which_means_worse(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_no_endpoint_is_one_sentence() -> None:
    done = run("evaluate", "release-1")
    assert done.returncode == 2
    assert done.stderr.strip() == "Error: No endpoint is given; use --base-url or set VLLM_QUALITY_BASE_URL."


def test_nothing_to_resume_is_one_sentence() -> None:
    done = run("evaluate", "release-1", "--base-url", "http://127.0.0.1:9", "--resume")
    assert done.returncode == 2
    assert "release-1 was never evaluated here" in done.stderr


def test_a_wrong_setting_is_one_sentence_that_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_QUALITY_PROFILE", "huge")
    done = run("evaluate", "release-1")
    assert done.returncode == 2
    assert done.stderr.startswith("Error: VLLM_QUALITY_PROFILE ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Nothing says what load to play"),
        (("--concurrency", "4"), "--concurrency needs --requests or --duration"),
        (("--concurrency", "4", "--rate", "2"), "are two different loads"),
        (("--concurrency", "4", "--requests", "8"), "No endpoint is given; use --base-url"),
        (("--tape", "nowhere", "--base-url", "http://127.0.0.1:9"), "give the folder of a load test's tape"),
        (("--config", "nowhere.yml"), "nowhere.yml cannot be read"),
    ],
)
def test_a_load_test_that_cannot_be_is_one_sentence_and_leaves_no_folder(
    arguments: tuple[str, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["vllm-quality", "load-test", *arguments])
    loud = logging.getLogger("dagster").level
    with pytest.raises(SystemExit) as ended:
        main()
    logging.getLogger("dagster").setLevel(loud)
    stderr = capsys.readouterr().err
    assert ended.value.code == 2
    assert said in stderr
    assert stderr.startswith("Error: ")
    assert stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_help_of_a_load_test_documents_its_exit_codes() -> None:
    done = run("load-test", "--help")
    assert done.returncode == 0
    for said in ("130  ended by Ctrl-C", "VLLM_QUALITY_API_KEY", "--capacity LOW,HIGH"):
        assert said in done.stdout


def raised(outer: Exception, inner: Exception) -> Exception:
    try:
        try:
            raise inner
        except Exception as error:
            raise outer from error
    except Exception as error:
        return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (UserError("Plug it in."), "Plug it in."),
        (raised(RuntimeError("step failed"), UserError("Plug it in.")), "Plug it in."),
        (OSError(errno.ENOSPC, "No space left on device"), "disk is full"),
        (raised(RuntimeError("x"), Exception("database or disk is full")), "disk is full"),
    ],
)
def test_what_a_user_can_put_right_is_found_wherever_it_is(error: Exception, said: str) -> None:
    sentence = explain(error)
    assert sentence is not None
    assert said in sentence


def test_a_bug_is_not_dressed_up_as_advice() -> None:
    assert explain(ZeroDivisionError("division by zero")) is None
