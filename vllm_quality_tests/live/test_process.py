"""Servers are stopped whatever happens, and parts are set up once."""

import os
import sys
import time
from pathlib import Path

import pytest

from vllm_quality_tests.live.benchmark_rows import as_item
from vllm_quality_tests.live.cache import VARIABLE, Unavailable, cache_folder, run, set_up
from vllm_quality_tests.live.oci_image import write_image
from vllm_quality_tests.live.process import ServerError, running
from vllm_quality_tests.live.programs import ensure_registry

# Ignores SIGTERM, as does its child; each writes its process id.
STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(sys.argv[1] + ("/child" if len(sys.argv) > 2 else "/parent"), "w").write(str(os.getpid()))
if len(sys.argv) == 2:
    subprocess.Popen([sys.executable, "-c", open(sys.argv[1] + "/code").read(), sys.argv[1], "child"])
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))


def is_gone(process: int) -> bool:
    """Whether it has ended; a zombie that nobody waits for counts as ended."""
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0]
    except OSError:
        return True
    return state == "Z"


def test_a_server_that_ignores_sigterm_is_killed_with_its_child(tmp_path: Path) -> None:
    (tmp_path / "code").write_text(STUBBORN, encoding="utf-8")

    def started() -> bool:
        return all((tmp_path / name).is_file() and (tmp_path / name).read_text() for name in ("parent", "child"))

    command = [sys.executable, "-c", STUBBORN, str(tmp_path)]
    with (
        pytest.raises(KeyboardInterrupt),
        running("stubborn", command, ready=started, timeout_s=30, grace_s=0.5),
    ):
        raise KeyboardInterrupt
    processes = [int((tmp_path / name).read_text()) for name in ("parent", "child")]
    deadline = time.monotonic() + 10
    while not all(map(is_gone, processes)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert all(map(is_gone, processes))


def test_a_server_that_ends_too_early_shows_its_last_words() -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no port left')"]
    with (
        pytest.raises(ServerError, match=r"(?s)broken ended with 1; .*no port left"),
        running("broken", command, ready=lambda: False, timeout_s=30),
    ):
        pass


def test_a_server_that_never_answers_is_given_up() -> None:
    command = [sys.executable, "-c", "import time; print('still loading', flush=True); time.sleep(60)"]
    with (
        pytest.raises(ServerError, match=r"slow was not ready within 1 s"),
        running("slow", command, ready=lambda: False, timeout_s=1, grace_s=5),
    ):
        pass


def test_a_part_is_built_once_and_again_for_another_recipe() -> None:
    built = []

    def build(folder: Path) -> None:
        assert list(folder.iterdir()) == []
        (folder / "file").touch()
        built.append(folder)

    for recipe in ("1", "1", "2"):
        assert set_up("part", recipe, build) == cache_folder() / "part"
    assert len(built) == 2


def test_a_part_that_broke_off_is_built_anew() -> None:
    def breaks(folder: Path) -> None:
        (folder / "half").touch()
        raise Unavailable("no network")

    with pytest.raises(Unavailable, match="no network"):
        set_up("part", "1", breaks)
    folder = set_up("part", "1", lambda folder: (folder / "whole").touch())
    assert sorted(path.name for path in folder.iterdir()) == [".recipe", "whole"]


def test_a_command_that_fails_says_which_and_why() -> None:
    with pytest.raises(Unavailable, match=r"(?s)-c .* failed with 1:\nno such package"):
        run([sys.executable, "-c", "raise SystemExit('no such package')"], timeout_s=30)
    with pytest.raises(Unavailable, match="cannot be run"):
        run(["/no/such/program"], timeout_s=30)


def test_a_machine_without_apt_has_no_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="docker-registry and skopeo would come from Debian"):
        ensure_registry()


def test_children_write_bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    code = "import os, sys; print(sys.dont_write_bytecode, os.environ['HOME'])"
    assert run([sys.executable, "-c", code], timeout_s=30).split() == ["False", os.environ["HOME"]]


def test_an_image_has_the_digest_of_its_content(tmp_path: Path) -> None:
    digests = []
    for number, content in enumerate(("one", "one", "two")):
        folder = tmp_path / str(number)
        folder.mkdir()
        digests.append(write_image(folder, content))
    assert digests[0] == digests[1] != digests[2]


def test_a_benchmark_row_is_taken_apart() -> None:
    row = {
        "question": "fog around: ",
        "options": "A. a marsh\nB. plan B. done \nC. a desert",
        "answer": "B. plan B. done",
    }
    expected = {"question": "fog around:", "choices": ["a marsh", "plan B. done", "a desert"], "gold": 1}
    assert as_item(row) == expected
