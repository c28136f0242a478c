"""A loop of its own in a thread of its own: the engine runs the same from Dagster, a script or a notebook's running loop."""

import asyncio
import gc
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from time import perf_counter
from typing import Any, TypeVar

_T = TypeVar("_T")
_POLL_S = 0.25
_TICK_S = 0.02
# The interpreter hands over between threads after 5 ms by default: an age for a clock that stamps microseconds.
_SWITCH_S = 0.0005


def run_in_thread(main: Callable[[], Coroutine[Any, Any, _T]], poll: Callable[[], None]) -> _T:
    """The coroutine's result, or its exception. `poll` is called in this thread, four times a second and at the end.

    When this thread is interrupted, or `poll` raises, the coroutine is cancelled and waited for, and the exception goes on.
    """
    results: list[_T] = []
    failures: list[BaseException] = []
    running: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[_T]]] = []

    async def run() -> None:
        task = asyncio.ensure_future(main())
        running.append((asyncio.get_running_loop(), task))
        results.append(await task)

    def work() -> None:
        try:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(run())
        except BaseException as error:  # raised again in the caller's thread
            failures.append(error)

    thread = threading.Thread(target=work, name="load", daemon=True)
    with _quiet_interpreter():
        thread.start()
        try:
            while thread.is_alive():
                thread.join(_POLL_S)
                poll()
            poll()
        except BaseException:
            while thread.is_alive() and not running:
                thread.join(0.01)
            for loop, task in running:
                # The loop may have ended by itself meanwhile.
                with suppress(RuntimeError):
                    loop.call_soon_threadsafe(task.cancel)
            thread.join()
            raise
    if failures:
        raise failures[0]
    return results[0]


def loop_name() -> str:
    """Which event loop carries the load: "uvloop", or "asyncio" where that is not installed."""
    return "asyncio" if _loop_factory() is None else "uvloop"


async def watch_lag(lags: list[float]) -> None:
    """Until cancelled, note every 20 ms how late the loop came to it: what it could not do in time, it measured late."""
    while True:
        due = perf_counter() + _TICK_S
        await asyncio.sleep(_TICK_S)
        lags.append(max(0.0, perf_counter() - due))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


@contextmanager
def _quiet_interpreter() -> Iterator[None]:
    """Keep the garbage collector off what exists already, and threads from holding the interpreter for long."""
    switch, frozen = sys.getswitchinterval(), gc.get_freeze_count()
    sys.setswitchinterval(_SWITCH_S)
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        sys.setswitchinterval(switch)
        # Someone else's frozen objects would be thawed along with ours.
        if not frozen:
            gc.unfreeze()
