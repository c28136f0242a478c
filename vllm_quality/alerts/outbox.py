"""Where cards go without a Teams webhook: a folder of JSON files, ready to be posted or looked at."""

import json
import os
import re
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vllm_quality.errors import UserError


class OutboxError(UserError):
    """The card could not be written."""


@dataclass(frozen=True)
class OutboxSender:
    """Writes each card to `<folder>/<its name>.json`: a whole file or none."""

    folder: Path

    @property
    def channel(self) -> str:
        """The name of this way of delivery in the ledger."""
        return "outbox"

    @property
    def limited(self) -> bool:
        """A folder takes as many as there are."""
        return False

    def send(self, card: Mapping[str, Any], *, name: str) -> str:
        """Write a card and tell where. Raises `OutboxError`, one sentence, when the folder cannot be written."""
        path = self.folder / f"{re.sub(r'[^A-Za-z0-9_.-]', '-', name)}.json"
        text = json.dumps(card, ensure_ascii=False, indent=2) + "\n"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _write_whole(path, text.encode())
        except OSError as error:
            raise OutboxError(
                f"The card cannot be written to {path} ({error.strerror}); make room or make the folder writable, "
                "or set VLLM_QUALITY_TEAMS_WEBHOOK."
            ) from None
        return str(path)


def _write_whole(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
