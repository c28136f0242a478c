"""Real stores for the tests: chdb in this process, chdb behind HTTP in another, a folder, and moto's S3 server."""

import os
import subprocess
import uuid
from collections.abc import Iterator
from io import RawIOBase
from pathlib import Path

import httpx
import pytest

from vllm_quality.results.objects import FileObjects, ObjectStore
from vllm_quality.results.s3_objects import S3Objects
from vllm_quality_tests.servers.clickhouse_http import running

PASSWORD = "p@ss:w/örd"


@pytest.fixture(scope="session")
def embedded_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One folder for all tests: opening a new one takes longer than opening an old one."""
    return f"chdb://{tmp_path_factory.mktemp('chdb') / 'results'}"


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("server"), "us er", PASSWORD) as url:
        yield url


@pytest.fixture
def run_id() -> str:
    return uuid.uuid4().hex


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Credentials as an operator sets them, and none from this machine."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")


@pytest.fixture
def s3_bucket(s3_endpoint: str, aws: None) -> str:
    bucket = f"bucket-{uuid.uuid4().hex}"
    httpx.put(f"{s3_endpoint}/{bucket}", timeout=10).raise_for_status()
    return bucket


@pytest.fixture(params=["file", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "file":
        return FileObjects(tmp_path / "objects")
    bucket = request.getfixturevalue("s3_bucket")
    return S3Objects(bucket, "team/a", request.getfixturevalue("s3_endpoint"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(disk: Path) -> Path:
    """Leave nothing of it; the file that takes it all."""
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        fill_up(file)
    return filler


def fill_up(file: RawIOBase) -> None:
    while True:
        file.write(bytes(4096))
