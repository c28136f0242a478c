"""Logs in an S3 bucket, read as a stream that goes on where a broken connection left it."""

import errno
import io
from collections.abc import Callable
from functools import cached_property
from typing import Any, BinaryIO, TypeVar, cast

from vllm_quality.datasets.traffic.source import TrafficError
from vllm_quality.settings import PREFIX

_CONNECT_SECONDS, _ANSWER_SECONDS, _ATTEMPTS = 5, 60, 3
_BUFFER = 1 << 20

T = TypeVar("T")


class S3LogPlace:
    """A `LogPlace` of the objects whose keys begin with a prefix. Credentials are boto3's own."""

    def __init__(self, bucket: str, prefix: str, endpoint: str | None) -> None:
        self._bucket, self._prefix, self._endpoint = bucket, prefix, endpoint

    def names(self) -> list[str]:
        """See `LogPlace.names`."""
        pages = self._ask(
            lambda: list(
                self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
            ),
            f"s3://{self._bucket}/{self._prefix}",
        )
        return sorted(str(found["Key"]) for page in pages for found in page.get("Contents", ()))

    def open(self, name: str) -> BinaryIO:
        """See `LogPlace.open`."""
        return cast("BinaryIO", io.BufferedReader(_Body(lambda **how: self._get(name, how)), _BUFFER))

    def _get(self, name: str, how: dict[str, str]) -> Any:
        return self._ask(
            lambda: self._client.get_object(Bucket=self._bucket, Key=name, **how), f"s3://{self._bucket}/{name}"
        )

    @cached_property
    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        config = Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_ANSWER_SECONDS,
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            s3={"addressing_style": "path"} if self._endpoint else None,  # servers of one's own have no name per bucket
        )
        return boto3.session.Session().client("s3", endpoint_url=self._endpoint, config=config)

    def _ask(self, request: Callable[[], T], place: str) -> T:
        from botocore import exceptions

        try:
            return request()
        except exceptions.ClientError as error:
            why = str(error.response.get("Error", {}).get("Code", "")) or "an unknown error"
        except (exceptions.BotoCoreError, exceptions.HTTPClientError) as error:
            why = type(error).__name__
        raise TrafficError(
            f"S3 at {self._endpoint or 'AWS'} does not give {place} ({why}); check {PREFIX}QUERIES_URL, {PREFIX}S3_ENDPOINT "
            "and the AWS_ variables."
        )


class _Body(io.RawIOBase):
    """An object's bytes. After a broken connection the rest is asked for, of the same version of the object."""

    def __init__(self, get: Callable[..., Any]) -> None:
        self._get, self._at, self._failures = get, 0, 0
        answer = get()
        self._size, self._tag, self._stream = int(answer["ContentLength"]), str(answer["ETag"]), answer["Body"]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        from botocore import exceptions

        while self._at < self._size:
            try:
                data = self._stream.read(len(buffer))
            except (exceptions.BotoCoreError, OSError):
                data = b""
            if data:
                self._at, self._failures = self._at + len(data), 0
                buffer[: len(data)] = data
                return len(data)
            self._failures += 1
            if self._failures > _ATTEMPTS:
                raise OSError(errno.ECONNRESET, "the connection broke again and again")
            self._stream = self._get(Range=f"bytes={self._at}-", IfMatch=self._tag)["Body"]
        return 0

    def close(self) -> None:
        self._stream.close()
        super().close()
