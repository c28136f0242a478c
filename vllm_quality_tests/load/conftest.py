"""Both event loops, for the tests of what runs on either."""

import asyncio
from collections.abc import Callable

import pytest
import uvloop

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


@pytest.fixture(params=["uvloop", "asyncio"])
def loop_factory(request: pytest.FixtureRequest) -> LoopFactory:
    """Both event loops that the engine may run on."""
    return uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
