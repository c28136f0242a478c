"""Two steps for each of many items, the first running ahead of the second: the second never waits for the first."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")
Ready = TypeVar("Ready")


async def in_stages(
    items: Sequence[Item],
    prepare: Callable[[Item], Awaitable[Ready]],
    finish: Callable[[Item, Ready], Awaitable[None]],
    *,
    workers: int,
) -> None:
    """`finish(item, await prepare(item))` for each item; `workers` at a time in each step, begun in the items' order.

    At most 3 * `workers` items are being prepared or wait. The first error ends it all.
    """
    queue = iter(items)
    ready: asyncio.Queue[tuple[Item, Ready] | None] = asyncio.Queue()
    room = asyncio.Semaphore(3 * workers)  # a bounded queue lets the late overtake who waits to put
    count = min(workers, len(items))
    preparing = count

    async def run_ahead() -> None:
        nonlocal preparing
        for item in queue:
            await room.acquire()
            ready.put_nowait((item, await prepare(item)))
        preparing -= 1
        if not preparing:
            for _ in range(count):
                ready.put_nowait(None)

    async def follow() -> None:
        while (found := await ready.get()) is not None:
            room.release()
            await finish(*found)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(run_ahead())
                group.create_task(follow())
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
