"""A Redis server on loopback that keeps nothing on disk."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from vllm_quality_tests.dagster_dev import free_port, wait_for


@contextmanager
def serve_redis(password: str) -> Iterator[str]:
    """The address of a server, with its password; always stopped. Skips where the program or its client is missing."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no Redis on this machine (Debian: apt-get install redis-server)")
    redis = pytest.importorskip("redis", reason="the client of Redis is not installed (pip install redis)")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "redis.conf")
        lines = (
            "bind 127.0.0.1",
            f"port {port}",
            'save ""',
            "appendonly no",
            f"requirepass {password}",
            f"dir {folder}",
        )
        config.write_text("\n".join(lines), encoding="utf-8")
        with Path(folder, "log").open("wb") as log:
            process = subprocess.Popen([program, str(config)], stdout=log, stderr=log)
        try:

            def answers() -> bool:
                with redis.Redis(port=port, password=password) as client:
                    try:
                        return bool(client.ping())
                    except redis.ConnectionError:
                        return False

            wait_for("Redis", answers, 30)
            yield f"redis://:{password}@127.0.0.1:{port}/0?basename=test"
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
