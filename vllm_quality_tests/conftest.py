"""What every test gets: an environment that knows nothing of the machine it runs on."""

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("VLLM_QUALITY_") and not name.startswith("VLLM_QUALITY_LIVE_"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setenv("VLLM_QUALITY_HOME", str(tmp_path / "home"))
