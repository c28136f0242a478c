"""README's first command, in the environment that its second one set up: a real model, three releases, two verdicts."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.live


def test_the_demo_tells_a_good_release_from_a_degraded_one(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VLLM_QUALITY_")}
    environment |= {"VLLM_QUALITY_HOME": str(tmp_path / "home")}
    command = [str(Path(sys.executable).parent / "vllm-quality"), "demo"]
    started = time.monotonic()
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=900, check=False
    )
    print(done.stdout)
    print(f"{time.monotonic() - started:.0f} s")
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.rpartition("What you saw")[2]
    assert re.search(r"release-demo-1 +(pass|better)", last)
    assert re.search(r"release-demo-2 +worse", last)
    assert len(list((tmp_path / "home" / "outbox").iterdir())) == 3
    assert len(list((tmp_path / "home" / "objects").rglob("report.html"))) == 3
