import asyncio
import sys
import time

import pytest

from vllm_quality.load.play.loop import loop_factory, loop_name, watch_lag


async def current_loop() -> str:
    return type(asyncio.get_running_loop()).__module__


def test_it_is_uvloops() -> None:
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        assert runner.run(current_loop()) == "uvloop"
    assert loop_name() == "uvloop"


def test_it_falls_back_to_asyncio_where_uvloop_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        assert runner.run(current_loop()).startswith("asyncio")
    assert loop_name() == "asyncio"


def test_lag_is_seen() -> None:
    async def main() -> list[float]:
        lags: list[float] = []
        watch = asyncio.create_task(watch_lag(lags))
        await asyncio.sleep(0.05)
        # What a client that is too slow for its load does to its loop.
        time.sleep(0.15)
        await asyncio.sleep(0.05)
        watch.cancel()
        return lags

    assert max(asyncio.run(main())) >= 0.1
