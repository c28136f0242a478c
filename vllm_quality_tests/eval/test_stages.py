"""Two steps for many items: the first runs ahead, within bounds, and the first error ends all."""

import asyncio

import pytest

from vllm_quality.eval.client import run_async
from vllm_quality.eval.stages import in_stages


@pytest.mark.parametrize("workers", [1, 3, 50])
@pytest.mark.parametrize("items", [0, 1, 20])
def test_every_item_goes_through_both_steps_once(workers: int, items: int) -> None:
    finished: list[tuple[int, int]] = []

    async def prepare(item: int) -> int:
        await asyncio.sleep(0.001 * (item % 3))
        return item * 10

    async def finish(item: int, ready: int) -> None:
        finished.append((item, ready))

    run_async(lambda: in_stages(range(items), prepare, finish, workers=workers))
    assert sorted(finished) == [(item, item * 10) for item in range(items)]


def test_the_first_step_runs_ahead_only_so_far() -> None:
    prepared: list[int] = []
    most = 0

    async def prepare(item: int) -> int:
        prepared.append(item)
        return item

    async def finish(item: int, ready: int) -> None:
        nonlocal most
        await asyncio.sleep(0.001)
        most = max(most, len(prepared) - item)

    run_async(lambda: in_stages(range(60), prepare, finish, workers=2))
    assert 3 * 2 <= most <= 3 * 2 + 2 * 2


@pytest.mark.parametrize("broken", ["prepare", "finish"])
def test_an_error_in_either_step_ends_it(broken: str) -> None:
    async def prepare(item: int) -> int:
        if broken == "prepare" and item == 3:
            raise ValueError("no")
        return item

    async def finish(item: int, ready: int) -> None:
        if broken == "finish" and item == 3:
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run_async(lambda: in_stages(range(50), prepare, finish, workers=4))
