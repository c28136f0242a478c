"""The object store: files that are written once and never changed, in a folder or in an S3 bucket."""

import errno
import io
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from vllm_quality.errors import UserError
from vllm_quality.results.durable import create_file, is_file, make_folder
from vllm_quality.settings import Settings

_LONGEST_KEY, _LONGEST_PART = 1024, 255  # bytes; S3's limit, and that of the usual file systems
_CHUNK = 1 << 20


class ObjectsError(UserError):
    """An object is missing, or the object store cannot be used."""


class ObjectStore(Protocol):
    """Create-only storage. Keys are relative paths such as "runs/ab12/endpoint.json" (see `check_key`).

    Every method raises `ObjectsError`, one sentence, when the store cannot be used; a failed read is never an empty answer.
    """

    def put(self, key: str, data: bytes, content_type: str = "application/octet-stream") -> bool:
        """True when the object was created; False when the key existed: then nothing was changed."""
        ...

    def get(self, key: str) -> bytes:
        """The object. Raises `ObjectsError` when there is none."""
        ...

    def put_file(self, key: str, path: Path, content_type: str = "application/octet-stream") -> bool:
        """Like `put` for a file of any size, which is never in memory as a whole."""
        ...

    def get_file(self, key: str, path: Path) -> None:
        """Copy the object into a new file, which has all of it or does not exist. Raises `ObjectsError` when there is none."""
        ...

    def exists(self, key: str) -> bool:
        """Whether the key has an object."""
        ...

    def list(self, prefix: str) -> list[str]:
        """The keys that begin with these characters, sorted; "" lists all."""
        ...

    def url(self, key: str) -> str:
        """The object's address for people, whether it exists or not."""
        ...


def open_source(path: Path) -> BinaryIO:
    """A file that is to be stored. Raises `ObjectsError` when it cannot be read."""
    try:
        return path.open("rb")
    except OSError as error:
        raise ObjectsError(f"{path} cannot be stored, since it cannot be read ({error.strerror}).") from None


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A new file to write to; after an error in the block it does not exist. Raises `ObjectsError`."""
    unfinished = path.with_name(f".{uuid.uuid4().hex}")
    try:
        with unfinished.open("xb") as file:
            yield file
        unfinished.replace(path)
    except OSError as error:
        raise ObjectsError(f"{path} cannot be written ({error.strerror}); look after that folder.") from None
    finally:
        unfinished.unlink(missing_ok=True)


def check_key(key: str) -> None:
    """Raise `ObjectsError` unless the key is a relative path that means the same in a folder and in a bucket.

    No empty part, none that begins with a dot ("..", hidden files), no control character or backslash, and no part or key
    longer than a file system or S3 takes.
    """
    parts = key.split("/")
    too_long = len(key.encode()) > _LONGEST_KEY or any(len(part.encode()) > _LONGEST_PART for part in parts)
    if (
        too_long
        or not all(parts)
        or any(part.startswith(".") for part in parts)
        or re.search(r"[\x00-\x1f\x7f\\]", key)
    ):
        raise ObjectsError(f"{key[:200]!r} cannot name an object; use a relative path such as runs/ab12/endpoint.json.")


def open_objects(settings: Settings) -> ObjectStore:
    """The object store of the settings. Raises `ObjectsError` when its address cannot be used."""
    url = settings.objects
    if url.startswith("s3://"):
        from vllm_quality.results.s3_objects import open_s3

        return open_s3(url, settings.s3_endpoint)
    folder = url.removeprefix("file://")
    if not folder.startswith("/"):
        raise ObjectsError(
            "VLLM_QUALITY_OBJECTS_URL must be file:///absolute/folder or s3://bucket/prefix; correct it."
        )
    return FileObjects(Path(folder))


@dataclass(frozen=True)
class FileObjects:
    """Objects as files below a folder. An object appears whole and on the disk, or not at all, even after kill -9.

    The folder's file system must know hard links: a link, unlike a rename, fails when the name is taken.
    """

    root: Path

    def put(self, key: str, data: bytes, content_type: str = "application/octet-stream") -> bool:  # noqa: ARG002
        """See `ObjectStore.put`; a folder does not keep the content type."""
        return self._create(key, io.BytesIO(data))

    def put_file(self, key: str, path: Path, content_type: str = "application/octet-stream") -> bool:  # noqa: ARG002
        """See `ObjectStore.put_file`."""
        with open_source(path) as source:
            return self._create(key, source)

    def get_file(self, key: str, path: Path) -> None:
        """See `ObjectStore.get_file`."""
        place = self._path(key)
        try:
            source = place.open("rb")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise self._missing(key) from None
        except OSError as error:
            raise self._refused(error) from None
        with source, whole_file(path) as target:
            shutil.copyfileobj(source, target, _CHUNK)

    def local_path(self, key: str) -> Path:
        """The file that is the object; only to be read."""
        return self._path(key)

    def get(self, key: str) -> bytes:
        """See `ObjectStore.get`."""
        try:
            return self._path(key).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise self._missing(key) from None
        except OSError as error:
            raise self._refused(error) from None

    def exists(self, key: str) -> bool:
        """See `ObjectStore.exists`."""
        try:
            return is_file(self._path(key))
        except OSError as error:
            raise self._refused(error) from None

    def list(self, prefix: str) -> list[str]:
        """See `ObjectStore.list`."""
        if prefix:
            check_key(prefix.removesuffix("/"))

        def failed(error: OSError) -> None:
            # Nothing was stored there yet, or an object lies where the prefix would have a folder.
            if not isinstance(error, FileNotFoundError) and not (
                isinstance(error, NotADirectoryError) and self.root.is_dir()
            ):
                raise self._refused(error) from None

        keys = []
        for folder, folders, names in os.walk(self.root / prefix.rpartition("/")[0], onerror=failed):
            folders[:] = [name for name in folders if not name.startswith(".")]
            place = Path(folder).relative_to(self.root)
            keys += [(place / name).as_posix() for name in names if not name.startswith(".")]
        return sorted(key for key in keys if key.startswith(prefix))

    def url(self, key: str) -> str:
        """See `ObjectStore.url`."""
        return self._path(key).as_uri()

    def _path(self, key: str) -> Path:
        check_key(key)
        return self.root / key

    def _create(self, key: str, source: BinaryIO) -> bool:
        path = self._path(key)
        try:
            if is_file(path):
                return False
            make_folder(path.parent)
            return create_file(path, source)
        except OSError as error:
            raise self._refused(error) from None

    def _missing(self, key: str) -> ObjectsError:
        return ObjectsError(f"There is no object {key} in {self.root}; run the step that writes it first.")

    def _refused(self, error: OSError) -> ObjectsError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return ObjectsError(
                f"There is no space left for the objects folder {self.root}; free some, then run again."
            )
        return ObjectsError(
            f"The objects folder {self.root} cannot be used ({error.strerror}); "
            "set VLLM_QUALITY_OBJECTS_URL or VLLM_QUALITY_HOME to another."
        )
