"""The event loop that carries the load, and how late it is."""

import asyncio
from collections.abc import Callable
from time import perf_counter

_TICK_S = 0.02


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, or None (asyncio's own) where that is not installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def loop_name() -> str:
    """Which event loop carries the load: "uvloop", or "asyncio" where that is not installed."""
    return "asyncio" if loop_factory() is None else "uvloop"


async def watch_lag(lags: list[float]) -> None:
    """Until cancelled, note every 20 ms how late the loop came to it: what it could not do in time, it measured late."""
    while True:
        due = perf_counter() + _TICK_S
        await asyncio.sleep(_TICK_S)
        lags.append(max(0.0, perf_counter() - due))
