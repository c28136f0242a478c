"""Objects in an S3 bucket: AWS, MinIO, SeaweedFS, or what else speaks the protocol.

Credentials come from where boto3 looks for them: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, profiles, roles of a pod.
Create-only rests on the conditional PUT (`If-None-Match: *`). A server that ignores the header, as rclone and s3rver do, lets
the last writer win, and this cannot be noticed from here.
"""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import tenacity

from vllm_quality.results.objects import ObjectsError, check_key, open_source, whole_file
from vllm_quality.results.s3_upload import Upload

_CONNECT_SECONDS, _ANSWER_SECONDS, _ATTEMPTS = 5, 60, 3
_PART_BYTES, _CHUNK = 16 << 20, 1 << 20  # S3 takes up to 10,000 parts: 160 GB

_NO_BUCKET = {"NoSuchBucket", "InvalidBucketName"}
_NOT_LET_IN = {
    "AccessDenied",
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "Forbidden",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
}
_FULL = {"InsufficientStorage", "QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded"}
_TAKEN, _CONFLICT, _MISSING = "PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"

T = TypeVar("T")


class _CodeError(Exception):
    """The server's answer to one request: its error code."""


class S3Objects:
    """Objects below `prefix` in a bucket. Safe in threads."""

    def __init__(self, bucket: str, prefix: str = "", endpoint: str | None = None) -> None:
        self.bucket = bucket
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.endpoint = endpoint

    def __repr__(self) -> str:
        return f"S3Objects({self.bucket!r}, {self.prefix!r}, {self.endpoint!r})"

    def put(self, key: str, data: bytes, content_type: str = "application/octet-stream") -> bool:
        """See `ObjectStore.put`. False also when the answer to our own first attempt was lost and the second met its object."""
        place = self._place(key)
        return self._create(
            place,
            lambda: self._client.put_object(
                Bucket=self.bucket, Key=place, Body=data, ContentType=content_type, IfNoneMatch="*"
            ),
        )

    def put_file(self, key: str, path: Path, content_type: str = "application/octet-stream") -> bool:
        """See `ObjectStore.put_file`: in parts, which become an object when all are there, and only where there is none."""
        place = self._place(key)
        with open_source(path) as source:
            first = source.read(_PART_BYTES)
            if len(first) < _PART_BYTES:
                return self.put(key, first, content_type)
            if self.exists(key):
                return False
            upload = Upload(self._client, self.bucket, place, content_type)
            try:
                self._ask(lambda: upload.send(first, source))
                return self._create(place, upload.finish)
            finally:
                upload.drop_unless_finished()

    def get_file(self, key: str, path: Path) -> None:
        """See `ObjectStore.get_file`."""
        place = self._place(key)

        def copy() -> None:
            body = self._client.get_object(Bucket=self.bucket, Key=place)["Body"]
            with whole_file(path) as target:
                for chunk in body.iter_chunks(_CHUNK):
                    target.write(chunk)

        try:
            self._ask(copy, (_MISSING,))
        except _CodeError:
            raise self._missing(key) from None

    def get(self, key: str) -> bytes:
        """See `ObjectStore.get`."""
        place = self._place(key)
        try:
            body = self._ask(lambda: self._client.get_object(Bucket=self.bucket, Key=place)["Body"].read(), (_MISSING,))
        except _CodeError:
            raise self._missing(key) from None
        return bytes(body)

    def exists(self, key: str) -> bool:
        """See `ObjectStore.exists`."""
        place = self._place(key)
        # Not HEAD: its 404 does not say whether the object is missing or the bucket. The key itself sorts first.
        page = self._ask(lambda: self._client.list_objects_v2(Bucket=self.bucket, Prefix=place, MaxKeys=1))
        return any(found["Key"] == place for found in page.get("Contents", ()))

    def list(self, prefix: str) -> list[str]:
        """See `ObjectStore.list`."""
        if prefix:
            check_key(prefix.rstrip("/"))
        pages = self._ask(
            lambda: list(
                self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix + prefix)
            )
        )
        return sorted(found["Key"].removeprefix(self.prefix) for page in pages for found in page.get("Contents", ()))

    def url(self, key: str) -> str:
        """See `ObjectStore.url`."""
        return f"s3://{self.bucket}/{self._place(key)}"

    @cached_property
    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        config = Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_ANSWER_SECONDS,
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            # Servers of one's own rarely have a DNS name per bucket.
            s3={"addressing_style": "path"} if self.endpoint else None,
        )
        return boto3.session.Session().client("s3", endpoint_url=self.endpoint, config=config)

    def _place(self, key: str) -> str:
        check_key(key)
        return self.prefix + key

    def _missing(self, key: str) -> ObjectsError:
        return ObjectsError(f"There is no object {self.url(key)}; run the step that writes it first.")

    def _create(self, place: str, create: Callable[[], object]) -> bool:
        """Send a request that creates an object; False when there is one already."""
        # Two writers of one key at the same moment: AWS tells the slower one to try again.
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda error: str(error) == _CONFLICT and isinstance(error, _CodeError)),
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=tenacity.wait_exponential(multiplier=0.2, max=2),
            reraise=True,
        )
        try:
            retrying(lambda: self._ask(create, (_TAKEN, _CONFLICT)))
        except _CodeError as answer:
            if str(answer) == _TAKEN:
                return False
            raise ObjectsError(f"Several writers kept s3://{self.bucket}/{place} busy; run this again.") from None
        return True

    def _ask(self, request: Callable[[], T], expected: tuple[str, ...] = ()) -> T:
        """The answer to a request. Raises `_CodeError` for the expected error codes, `ObjectsError` for the others."""
        from botocore import exceptions

        try:
            return request()
        except exceptions.ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 412:
                code = _TAKEN  # some servers send no body with it
            if code in expected:
                raise _CodeError(code) from None
            raise self._refused(code) from None
        except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError, exceptions.CredentialRetrievalError):
            raise ObjectsError(
                f"There are no credentials for s3://{self.bucket}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
            ) from None
        except (exceptions.HTTPClientError, exceptions.ConnectionError) as error:
            raise ObjectsError(
                f"S3 at {self.endpoint or 'AWS'} cannot be reached ({type(error).__name__}); "
                "check that it runs there and that VLLM_QUALITY_S3_ENDPOINT is right."
            ) from None
        except exceptions.BotoCoreError as error:
            raise ObjectsError(
                f"S3 at {self.endpoint or 'AWS'} cannot be used ({type(error).__name__}); "
                "check the AWS_ variables, VLLM_QUALITY_S3_ENDPOINT and VLLM_QUALITY_OBJECTS_URL."
            ) from None

    def _refused(self, code: str) -> ObjectsError:
        where = f"at {self.endpoint or 'AWS'}"
        if code in _NO_BUCKET:
            return ObjectsError(
                f"There is no bucket {self.bucket} {where}; create it, or correct VLLM_QUALITY_OBJECTS_URL."
            )
        if code in _NOT_LET_IN:
            return ObjectsError(
                f"S3 {where} does not let these credentials use s3://{self.bucket} ({code}); "
                "correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or grant them Get, Put and List."
            )
        if code in _FULL:
            return ObjectsError(f"S3 {where} has no space left ({code}); free some, then run this again.")
        return ObjectsError(f"S3 {where} failed with {code or 'an unknown error'} on s3://{self.bucket}; look there.")


def open_s3(url: str, endpoint: str | None) -> S3Objects:
    """The store that an address such as s3://llm-eval-ds/prefix stands for. Raises `ObjectsError` when it names no bucket."""
    parts = urlsplit(url)
    if not parts.netloc or "@" in parts.netloc or parts.query or parts.fragment:
        raise ObjectsError("VLLM_QUALITY_OBJECTS_URL must be s3://bucket or s3://bucket/prefix; correct it.")
    prefix = parts.path.strip("/")
    if prefix:
        check_key(prefix)
    return S3Objects(parts.netloc, prefix, endpoint)
