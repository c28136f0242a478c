"""A PostgreSQL server on loopback in a folder of its own."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from vllm_quality_tests.dagster_dev import free_port, wait_for


def find_postgres() -> Path:
    """The folder with `initdb` and `postgres`. Skips when this machine has none."""
    found = shutil.which("initdb")
    folders = (
        [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    )
    if not folders:
        pytest.skip("no PostgreSQL on this machine (Debian: apt-get install postgresql)")
    return folders[0]


@contextmanager
def serve_postgres(user: str, password: str) -> Iterator[int]:
    """The port of a server whose database `postgres` belongs to `user`; always stopped."""
    programs, port = find_postgres(), free_port()
    # PostgreSQL refuses to run as root, and pytest's folders are closed to others.
    account = next(name for name in ("postgres", "nobody") if _exists(name)) if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory() as folder:
        secret = Path(folder, "password")
        secret.write_text(password, encoding="utf-8")
        for path in (folder, str(secret)):
            if account:
                shutil.chown(path, account)
        data = f"{folder}/data"
        command = [f"{programs}/initdb", "-D", data, "-U", user, "-A", "scram-sha-256", "--pwfile", str(secret)]
        subprocess.run(command, user=account, cwd=folder, check=True, capture_output=True, timeout=120)
        command = [f"{programs}/postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", "", "-F"]
        with Path(folder, "log").open("wb") as log:
            process = subprocess.Popen(command, user=account, cwd=folder, stdout=log, stderr=log)
        try:
            ready = [f"{programs}/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
            wait_for("PostgreSQL", lambda: subprocess.run(ready, timeout=10, check=False).returncode == 0, 60)
            yield port
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)


def _exists(account: str) -> bool:
    try:
        pwd.getpwnam(account)
    except KeyError:
        return False
    return True
