"""The checkout of Evalchemy that a team has: it is on no package index, and its dependencies are not ours."""

import hashlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from vllm_quality.errors import UserError
from vllm_quality.eval.result import hash_of
from vllm_quality.settings import PREFIX, Settings

_GIT_S = 30


class EvalchemyError(UserError):
    """Evalchemy cannot be run, or did not measure what it was asked to."""


@dataclass(frozen=True)
class Checkout:
    """A checkout of github.com/mlfoundations/evalchemy and the Python that has its dependencies."""

    folder: Path
    python: Path

    def version(self) -> str:
        """What is checked out: the commit, and a hash of what differs from it; of the code where git does not tell."""
        commit = self._git("rev-parse", "HEAD")
        if commit is None:
            code = sorted((self.folder / "eval").rglob("*.py"))
            return hash_of([[str(path.relative_to(self.folder)), _sha256(path)] for path in code])
        changes = self._git("diff", "HEAD")
        return commit.strip() if not changes else f"{commit.strip()}+{hash_of(changes)[:12]}"

    def needs_judge(self, task: str) -> bool:
        """Whether a benchmark of its own takes a judge's model (as its own TaskManager tells, by that argument)."""
        code = self.folder / "eval" / "chat_benchmarks" / task / "eval_instruct.py"
        return code.is_file() and "annotator_model" in code.read_text(encoding="utf-8", errors="replace")

    def _git(self, *arguments: str) -> str | None:
        command = ["git", "-c", "safe.directory=*", "-C", str(self.folder), *arguments]
        try:
            done = subprocess.run(  # noqa: S603  # no shell, fixed arguments
                command,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_GIT_S,
                check=False,
                env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_CEILING_DIRECTORIES": str(self.folder.parent)},
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout if done.returncode == 0 else None


def find_checkout(settings: Settings) -> Checkout:
    """The configured checkout. Raises `EvalchemyError`, one sentence, when there is none or it cannot be used."""
    if settings.evalchemy_dir is None:
        raise EvalchemyError(
            f"A suite is to be run by Evalchemy, and {PREFIX}EVALCHEMY_DIR does not name a checkout of it; set it, or drop "
            "the suite's runner."
        )
    folder = settings.evalchemy_dir.absolute()
    if not (folder / "eval" / "eval.py").is_file():
        raise EvalchemyError(
            f"{PREFIX}EVALCHEMY_DIR is {folder}, which holds no eval/eval.py; give a checkout of Evalchemy."
        )
    # Not resolved: a virtual environment's Python is a link, and is itself only by that name.
    python = (settings.evalchemy_python or folder / ".venv" / "bin" / "python").absolute()
    if not os.access(python, os.X_OK) or not python.is_file():
        raise EvalchemyError(f"Evalchemy's Python {python} cannot be started; set {PREFIX}EVALCHEMY_PYTHON.")
    return Checkout(folder, python)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
