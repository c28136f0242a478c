"""Files that are on the disk when they appear, whole, and that no other writer replaces. What fails raises `OSError`."""

import os
import shutil
import stat
import uuid
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

_CHUNK = 1 << 20


def is_file(path: Path) -> bool:
    """Whether there is a regular file."""
    # Not Path.is_file: newer Pythons answer False when the disk fails.
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def make_folder(folder: Path) -> None:
    """Like mkdir with parents, and every new folder is on the disk."""
    if not folder.is_dir():
        make_folder(folder.parent)
        with suppress(FileExistsError):
            folder.mkdir()
        _flush(folder.parent)


def create_file(path: Path, source: BinaryIO) -> bool:
    """Write beside the place, flush, then link into place: readers never see half an object, writers never overwrite one."""
    unfinished = path.with_name(f".{uuid.uuid4().hex}")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        with os.fdopen(descriptor, "wb") as file:
            shutil.copyfileobj(source, file, _CHUNK)
            file.flush()
            os.fsync(descriptor)
        try:
            os.link(unfinished, path)
        except FileExistsError:
            if path.is_dir():  # another object's folder
                raise
            return False
    finally:
        with suppress(OSError):
            unfinished.unlink()
    _flush(path.parent)
    return True


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
