import asyncio
import gc
import sys
import threading

import pytest

from vllm_quality.load.play.engine import loop_name, run_in_thread, watch_lag


def nothing() -> None:
    """No poll."""


def test_the_result_comes_from_a_thread_and_a_loop_of_its_own() -> None:
    async def main() -> tuple[str, str]:
        return threading.current_thread().name, type(asyncio.get_running_loop()).__module__

    assert run_in_thread(main, nothing) == ("load", "uvloop")
    assert loop_name() == "uvloop"


def test_it_falls_back_to_asyncio_where_uvloop_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> str:
        return type(asyncio.get_running_loop()).__module__

    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert run_in_thread(main, nothing).startswith("asyncio")
    assert loop_name() == "asyncio"


def test_an_exception_comes_out_in_the_caller_and_the_interpreter_is_left_as_it_was() -> None:
    async def main() -> None:
        raise ValueError("wrong")

    before = sys.getswitchinterval()
    with pytest.raises(ValueError, match="wrong"):
        run_in_thread(main, nothing)
    assert sys.getswitchinterval() == before
    assert gc.get_freeze_count() == 0


def test_poll_is_called_at_least_once_after_the_end() -> None:
    ended: list[bool] = []
    polled: list[bool] = []

    async def main() -> None:
        ended.append(True)

    run_in_thread(main, lambda: polled.append(bool(ended)))
    assert polled[-1] is True


def test_when_poll_raises_the_coroutine_is_cancelled_and_waited_for() -> None:
    seen: list[str] = []

    async def main() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            seen.append("ended")

    def poll() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_in_thread(main, poll)
    assert seen == ["ended"]


def test_lag_is_seen() -> None:
    async def main() -> list[float]:
        lags: list[float] = []
        watch = asyncio.create_task(watch_lag(lags))
        await asyncio.sleep(0.05)
        # What a client that is too slow for its load does to its loop.
        threading.Event().wait(0.15)
        await asyncio.sleep(0.05)
        watch.cancel()
        return lags

    assert max(asyncio.run(main())) >= 0.1
