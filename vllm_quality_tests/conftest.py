"""What every test gets: an environment that knows nothing of the machine it runs on."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No test times the machine: a busy one is slow, and nothing is wrong with that.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("VLLM_QUALITY_") and not name.startswith("VLLM_QUALITY_LIVE_"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setenv("VLLM_QUALITY_HOME", str(tmp_path / "home"))
