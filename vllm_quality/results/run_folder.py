"""What one evaluation keeps in the object store: `runs/<run_id>/…`, each file written once."""

import hashlib
import io
import json
from dataclasses import dataclass
from typing import Any

import polars as pl

from vllm_quality.results.measurement import Measurement
from vllm_quality.results.objects import ObjectsError, ObjectStore


@dataclass(frozen=True)
class RunFolder:
    """The objects of one evaluation. Whoever writes a name first decides what it holds; every later reader gets that."""

    objects: ObjectStore
    run_id: str

    def _key(self, name: str) -> str:
        return f"runs/{self.run_id}/{name}"

    def put_json(self, name: str, value: object) -> bool:
        """Store JSON under a name such as "endpoint.json". False when the name was taken: then that stays."""
        text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1)
        return self.objects.put(self._key(name), text.encode(), "application/json")

    def get_json(self, name: str) -> Any | None:
        """The JSON under a name; None when there is none."""
        key = self._key(name)
        if not self.objects.exists(key):
            return None
        try:
            return json.loads(self.objects.get(key))
        except ValueError:
            raise ObjectsError(f"{self.objects.url(key)} is not JSON; remove it and run the step again.") from None

    def keep_json(self, name: str, value: object) -> Any:
        """Store JSON under a name unless the name is taken; what is stored in the end, which is the first writer's."""
        self.put_json(name, value)
        stored = self.get_json(name)
        if stored is None:
            raise ObjectsError(
                f"{name} vanished from run {self.run_id} while it was being written; run the step again."
            )
        return stored

    def put_frame(self, name: str, frame: pl.DataFrame) -> str:
        """Store a frame as parquet; its key, `runs/<run_id>/<name>-<hash>.parquet`.

        The hash is of the content, so a frame measured again lies beside the first instead of clashing with it.
        """
        buffer = io.BytesIO()
        frame.write_parquet(buffer)
        return self._put(name, "parquet", buffer.getvalue(), "application/vnd.apache.parquet")

    def put_text(self, name: str, ending: str, text: str, content_type: str) -> str:
        """Store a text; its key, `runs/<run_id>/<name>-<hash>.<ending>`, with the hash for the same reason."""
        return self._put(name, ending, text.encode(), content_type)

    def _put(self, name: str, ending: str, data: bytes, content_type: str) -> str:
        key = self._key(f"{name}-{hashlib.sha256(data).hexdigest()[:16]}.{ending}")
        self.objects.put(key, data, content_type)
        return key

    def get_frame(self, key: str) -> pl.DataFrame:
        """The frame under a key that `put_frame` returned."""
        data = self.objects.get(key)
        try:
            return pl.read_parquet(io.BytesIO(data))
        except pl.exceptions.PolarsError:
            raise ObjectsError(f"{self.objects.url(key)} is not parquet; remove it and run the step again.") from None

    def put_measurement(self, m: Measurement, *, again: bool = False) -> Measurement:
        """Store what a step measured; what is stored for the step in the end, which is the first writer's.

        again  that it is the second measurement, made because of a suspicion
        """
        return Measurement.from_json(self.keep_json(_measurement_file(m.step, again=again), m.as_json()))

    def get_measurement(self, step: str, *, again: bool = False) -> Measurement | None:
        """What a step measured; None while it has not."""
        stored = self.get_json(_measurement_file(step, again=again))
        return None if stored is None else Measurement.from_json(stored)


def _measurement_file(step: str, *, again: bool) -> str:
    return f"{step}/{'again' if again else 'measurement'}.json"
