"""Rows of traffic made by hand, for the tests of this folder."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vllm_quality.datasets.traffic.source import open_source
from vllm_quality.datasets.traffic.take import Wanted
from vllm_quality.settings import load_settings

DAY = dt.date(2026, 11, 20)
NOON = int(dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC).timestamp())
HOUR = 3600


def silent(_text: str) -> None:
    """Nobody listens."""


def completion(
    number: int, text: str | None = None, *, created: int = NOON, metadata: Mapping[str, str] | None = None, **more: Any
) -> dict[str, Any]:
    """A stored completion."""
    return {
        "object": "chat.completion",
        "id": f"chatcmpl-{number:04}",
        "created": created,
        "model": "m",
        "metadata": dict(metadata or {}),
        "messages": [{"role": "user", "content": question(number) if text is None else text}],
        "choices": [{"index": 0, "message": {"role": "assistant", "content": f"Answer {number}."}}],
        **more,
    }


def question(number: int) -> str:
    """A question that no other one is near to."""
    words = [f"{number * prime % 997:03}{'abcdefghij'[number * prime % 10]}" for prime in (7, 11, 13, 17, 19, 23)]
    return f"What about {' '.join(words)}?"


def wanted(**changes: Any) -> Wanted:
    """What is wanted of the day: all of it."""
    return Wanted(**{"day": DAY, "asked": {}, "size": 1000, "stratify": None, "seed": 1, **changes})


def logs(place: Path, **settings: Any) -> Any:
    """The source of a folder of logs."""
    return open_source(load_settings(queries_url=f"file://{place}", **settings), silent)
