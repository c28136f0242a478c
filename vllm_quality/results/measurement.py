"""What a measuring step leaves behind: one small JSON object per step, written last, read by `results`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Measurement:
    """The outcome of one measuring step of one run.

    step        "load/baseline", "eval/<suite>": the metric paths begin with it
    metrics     full metric path -> finite value, unit in the path's last part (see `verdict/metrics.py`)
    comparable  SHA-256 of everything but the release that shapes the numbers (tape, prompts, sampling, hardware);
                two values are compared only where it is equal
    problem     why the numbers must not be compared, one sentence; None when they can be
    files       name -> object key; "samples" and "requests" are parquet with the columns of those tables
    details     JSON-able facts for people: headline figures, versions, counts of what went wrong
    """

    step: str
    metrics: Mapping[str, float]
    comparable: str
    problem: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """A dictionary that `json.dumps` takes."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Measurement":
        """The inverse of `as_json`."""
        return cls(**stored)
