"""Somebody's code grades, and whatever it tries, it neither gets out nor holds up the evaluation."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from vllm_quality.eval.graders.python_grader import PythonGrader, PythonGraderError, PythonLimits

LIMITS = PythonLimits(cpu_s=10, wall_s=20.0, memory_bytes=512 * 1024**2)
SHORT = PythonLimits(cpu_s=1, wall_s=20.0)
HEAD = "import asyncio, ctypes, os, resource, signal, socket, subprocess, sys, threading, time\n"


def grade(body: str, *, limits: PythonLimits = LIMITS, output: str = "hello") -> float:
    source = HEAD + "def grade(sample, item):\n" + "".join(f"    {line}\n" for line in body.splitlines())
    return asyncio.run(PythonGrader(source, limits).grade({"output_text": output}, {"want": 5}))


def refused(body: str, limits: PythonLimits = LIMITS) -> str:
    with pytest.raises(PythonGraderError) as caught:
        grade(body, limits=limits)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("body", "score"),
    [
        ("return len(sample['output_text']) / item['want']", 1.0),
        ("return True", 1.0),
        ("return 7", 7.0),
        ("import numpy\nreturn numpy.float32(0.5)", 0.5),
        (
            "from rapidfuzz import fuzz\nreturn fuzz.WRatio(sample['output_text'], 'hello') / 100",
            1.0,
        ),  # OpenAI's example
        ("print('noise' * 1_000_000, file=sys.stderr); print('{\"score\": 9}')\nreturn 0.25", 0.25),
        ("open('scratch', 'w').write('x')\nreturn float(open('scratch').read() == 'x')", 1.0),
        ("async def later():\n    return 0.5\nreturn asyncio.run(later())", 0.5),
    ],
)
def test_a_number_is_a_grade(body: str, score: float) -> None:
    assert grade(body) == score


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise ValueError('no\\nidea')", "it raised ValueError: no idea"),
        ("sys.exit(0)", "it raised SystemExit"),
        ("return 'high'", "it returned str, no number"),
        ("return None", "it returned NoneType, no number"),
        ("return float('nan')", "it returned nan"),
        ("return grade(sample, item)", "RecursionError"),
        ("os._exit(3)", "it ended without a grade (exit code 3)"),
        ("ctypes.string_at(0)", "it ended without a grade (killed by SIGSEGV)"),
    ],
)
def test_no_number_is_no_grade(body: str, said: str) -> None:
    assert said in refused(body)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("while True: os.fork()", "may not do"),
        ("subprocess.run(['true'])", "may not do"),
        ("os.execv('/bin/true', ['true'])", "may not do"),
        ("for _ in range(100_000): threading.Thread(target=time.sleep, args=(60,)).start()", "can't start new thread"),
        ("socket.create_connection(('127.0.0.1', item['want']))", "may not do"),
        ("socket.socket(socket.AF_UNIX)", "may not do"),
        ("socket.getaddrinfo('example.com', 80)", "gaierror"),
        ("os.kill(os.getppid(), signal.SIGKILL)", "may not do"),
        ("os.kill(-1, signal.SIGKILL)", "may not do"),
        ("os.setsid()", "may not do"),
        ("import fcntl\nfcntl.fcntl(0, fcntl.F_SETOWN, os.getppid())", "may not do"),
        ("import fcntl\nfcntl.fcntl(0, fcntl.F_SETSIG, 9)", "may not do"),
        ("x = bytearray(10 * 1024**3)", "more memory"),
        ("x = []\nwhile True: x.append('a' * 1_000_000)", "more memory"),
        ("resource.setrlimit(resource.RLIMIT_AS, (-1, -1))", "it raised"),
        ("f = open('big', 'wb')\nwhile True: f.write(b'0' * 1_000_000)", "File too large"),
        ("for fd in range(3, 64):\n  try:\n    while True: os.write(fd, b'x' * 100_000)\n  except OSError: pass", "wrote more than"),
    ],
)  # fmt: skip
def test_the_hostile_are_contained_and_reported(body: str, said: str) -> None:
    assert said in refused(body)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("while True: pass", "it used more than 1 s of CPU time"),
        ("signal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass", "it used more than 1 s of CPU time"),
    ],
)
def test_the_endless_are_ended(body: str, said: str) -> None:
    assert refused(body, SHORT) == said


def test_the_sleeping_are_ended() -> None:
    assert refused("time.sleep(60)", PythonLimits(wall_s=0.5)) == "it did not end within 0.5 s"


def test_it_sees_no_secret_and_writes_nothing_outside_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_QUALITY_API_KEY", "top-secret")
    secret = tmp_path / "secret"
    secret.write_text("top-secret", encoding="utf-8")
    assert "top-secret" not in refused("raise ValueError(str(os.environ))")
    assert grade(f"try:\n  open({str(tmp_path / 'owned')!r}, 'w')\nexcept OSError: return 1\nreturn 0") == 1
    assert grade(f"try:\n  return float('secret' in open({str(secret)!r}).read())\nexcept OSError: return 0") == 0
    assert grade("try:\n  return len(open(f'/proc/{os.getppid()}/environ').read())\nexcept OSError: return 0") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_a_listening_neighbour_is_not_reached() -> None:
    with socket.socket() as neighbour:
        neighbour.bind(("127.0.0.1", 0))
        neighbour.listen()
        neighbour.setblocking(False)
        refused(f"socket.create_connection(('127.0.0.1', {neighbour.getsockname()[1]}))")
        with pytest.raises(BlockingIOError):
            neighbour.accept()


def test_one_that_always_runs_out_of_time_is_given_up() -> None:
    grader = PythonGrader("import time\ndef grade(s, i): time.sleep(60)", PythonLimits(wall_s=0.3))

    async def all_of_them() -> list[str]:
        said = []
        for _ in range(5):
            with pytest.raises(PythonGraderError) as caught:
                await grader.grade({}, {})
            said.append(str(caught.value))
        return said

    said = asyncio.run(all_of_them())
    assert said[:3] == ["it did not end within 0.3 s"] * 3
    assert said[3:] == ["it ran out of time 3 times in a row and was not started again"] * 2


def test_many_grade_side_by_side_and_leave_nothing() -> None:
    grader = PythonGrader("def grade(sample, item): return item['n']", LIMITS, at_once=4)

    async def all_of_them() -> list[float]:
        return list(await asyncio.gather(*(grader.grade({}, {"n": number}) for number in range(12))))

    assert asyncio.run(all_of_them()) == list(map(float, range(12)))
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
