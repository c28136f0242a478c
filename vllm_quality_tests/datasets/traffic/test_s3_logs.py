"""A connection that breaks in the middle of a log is taken up where it broke."""

import io
from typing import Any

import pytest

from vllm_quality.datasets.traffic.s3_logs import _Body

DATA = bytes(range(256)) * 64


class Breaking:
    """Objects whose connections end early, as `get_object` gives them."""

    def __init__(self, lengths: list[int]) -> None:
        self.lengths, self.asked = lengths, list[dict[str, str]]()

    def get(self, **how: str) -> dict[str, Any]:
        self.asked.append(how)
        start = int(how.get("Range", "bytes=0-")[6:-1])
        length = self.lengths.pop(0) if self.lengths else len(DATA)
        return {"ContentLength": len(DATA), "ETag": "e", "Body": io.BytesIO(DATA[start : start + length])}


def test_the_rest_is_asked_for_of_the_same_version() -> None:
    server = Breaking([5000, 0, 7000])
    with io.BufferedReader(_Body(server.get), 1024) as stream:
        assert stream.read() == DATA
    assert server.asked == [
        {},
        *({"Range": f"bytes={at}-", "IfMatch": "e"} for at in (5000, 5000, 12000)),
    ]


def test_it_ends() -> None:
    with pytest.raises(OSError, match="again and again"):
        io.BufferedReader(_Body(Breaking([100, *[0] * 20]).get)).read()
