"""Writes a tape as it is built, and its hash with it."""

import hashlib
import json
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vllm_quality.load.schedule import Load
from vllm_quality.load.tape_files import Row, RowWriter

FORMAT = 2
HEAD = "head.json"
_HASHED = struct.Struct("<qqIIIII")
_UNKNOWN = -1


class Digest:
    """SHA-256 over what a tape says: lines of JSON, and for each entry its numbers and texts with their lengths."""

    def __init__(self, path: str, streaming: bool) -> None:
        self._hash = hashlib.sha256(_compact({"format": FORMAT, "path": path, "streaming": streaming}))

    def section(self, load: Load | None) -> None:
        # Where a trace lies is no part of what it says.
        told = None if load is None else load.model_dump(mode="json", exclude={"path"})
        self._hash.update(_compact({"load": told}))

    def row(self, row: Row) -> None:
        due_s, item, body, prompt_tokens, session, turn, output_tokens = row
        name = item.encode()
        due_ns = _UNKNOWN if due_s is None else round(due_s * 1e9)
        counted = _UNKNOWN if prompt_tokens is None else prompt_tokens
        self._hash.update(_HASHED.pack(due_ns, counted, session, turn, output_tokens, len(name), len(body)))
        self._hash.update(name)
        self._hash.update(body)

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


class TapeWriter(RowWriter):
    """Writes a tape's sections as they come; its head last, so that what was left unfinished is no tape."""

    def __init__(self, folder: Path, path: str, streaming: bool) -> None:
        (folder / HEAD).unlink(missing_ok=True)
        super().__init__(folder)
        self._folder, self._digest = folder, Digest(path, streaming)
        self._head: dict[str, Any] = {"format": FORMAT, "path": path, "streaming": streaming}
        self._sections: list[dict[str, Any]] = []

    def section(self, load: Load | None, rows: Iterable[Row]) -> None:
        """Write the next section: the warm-up first, then the stages, the pool last."""
        before = self.rows
        self._digest.section(load)
        for row in rows:
            self._digest.row(row)
            self.add(row)
        told = None if load is None else load.model_dump(mode="json")
        self._sections.append({"load": told, "entries": self.rows - before})

    def finish(self, repeated: int, left_out: int, shortened: int, data: Mapping[str, Any] | None) -> None:
        """End the rows and write the head."""
        self.close()
        head = {**self._head, "sections": self._sections, "repeated": repeated, "left_out": left_out}
        head |= {"shortened": shortened, "data": data}
        head["sha256"] = self._digest.hexdigest()
        (self._folder / HEAD).write_text(json.dumps(head, ensure_ascii=False, indent=1), encoding="utf-8")


def _compact(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
