"""What one run measures: written by its first step, read by all the others, so that settings cannot change half-way."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from vllm_quality.results.run_folder import RunFolder
from vllm_quality.serving.endpoint import Endpoint, EndpointError
from vllm_quality.settings import Profile

TARGET_FILE = "target.json"


@dataclass(frozen=True)
class Target:
    """One release under evaluation.

    run_id        the evaluation's id; a re-execution of the same evaluation keeps it
    image_digest  "sha256:…" of the pushed image; empty when the run was started by hand
    seen_at       when the sensor saw the tag; None when the run was started by hand
    """

    run_id: str
    model_tag: str
    endpoint: Endpoint
    profile: Profile
    hardware: str
    image_digest: str
    seen_at: datetime | None
    started_at: datetime

    def as_json(self) -> dict[str, Any]:
        """A dictionary that `json.dumps` takes; times in ISO 8601 with their zone."""
        seen = self.seen_at.isoformat() if self.seen_at else None
        return asdict(self) | {"seen_at": seen, "started_at": self.started_at.isoformat()}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Target":
        """The inverse of `as_json`."""
        seen = stored["seen_at"]
        return cls(
            **{
                **stored,
                "endpoint": Endpoint.from_json(stored["endpoint"]),
                "seen_at": datetime.fromisoformat(seen) if seen else None,
                "started_at": datetime.fromisoformat(stored["started_at"]),
            }
        )


def read_target(folder: RunFolder) -> Target:
    """What the run measures. Raises `EndpointError` when its first step did not run."""
    stored = folder.get_json(TARGET_FILE)
    if stored is None:
        raise EndpointError(
            f"Run {folder.run_id} does not know its endpoint; launch the job evaluate_release, "
            "or select serving_endpoint too, instead of single assets."
        )
    return Target.from_json(stored)
