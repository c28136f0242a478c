"""A large file on its way to S3: uploaded in parts, which become an object only when the last request says so."""

from contextlib import suppress
from itertools import count
from typing import Any, BinaryIO


class Upload:
    """One multipart upload; one part is in memory at a time. Its methods raise what boto3 raises.

    Parts that were never finished cost room until they are dropped; after a crash the bucket's lifecycle rule for incomplete
    uploads does that.
    """

    def __init__(self, client: Any, bucket: str, place: str, content_type: str) -> None:
        self._client, self._content_type = client, content_type
        self._where = {"Bucket": bucket, "Key": place}
        self._upload: dict[str, Any] = {}
        self._parts: list[dict[str, Any]] = []
        self._finished = False

    def send(self, first: bytes, source: BinaryIO) -> None:
        """Upload `first` and what the source still has, in parts of that size."""
        begun = self._client.create_multipart_upload(**self._where, ContentType=self._content_type)
        self._upload = {**self._where, "UploadId": begun["UploadId"]}
        part = first
        for number in count(1):
            answer = self._client.upload_part(**self._upload, PartNumber=number, Body=part)
            self._parts.append({"PartNumber": number, "ETag": answer["ETag"]})
            part = source.read(len(first))
            if not part:
                return

    def finish(self) -> None:
        """Make the object, unless there is one under its key."""
        self._client.complete_multipart_upload(**self._upload, MultipartUpload={"Parts": self._parts}, IfNoneMatch="*")
        self._finished = True

    def drop_unless_finished(self) -> None:
        """Remove the parts, as far as the server lets us."""
        from botocore.exceptions import BotoCoreError, ClientError

        if self._upload and not self._finished:
            with suppress(ClientError, BotoCoreError):
                self._client.abort_multipart_upload(**self._upload)
