"""A small model served by llama.cpp on loopback: what the demo and the tests evaluate.

The server has a process of its own. A failed assertion inside llama.cpp aborts its process, its memory is given back only
when that ends, and the load client's clocks do not have to share an interpreter with it.
"""

import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from vllm_quality.errors import UserError
from vllm_quality.first_line import first_line

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0


class LlamaError(UserError):
    """The model cannot be served."""


@dataclass(frozen=True)
class LlamaOptions:
    """How a GGUF file is served.

    chat_template    Jinja text instead of the model's own; None leaves that in place
    run_share        share of the time the server may run, as under a container's CPU limit: at 0.3 all it does,
                     decoding included, takes about 3.3 times as long
    threads          computing threads; None: one per core, four at most
    """

    model: Path
    name: str = "SmolLM2-135M-Instruct"
    port: int = 0
    chat_template: str | None = None
    run_share: float = 1.0
    slots: int = 4
    tokens_per_slot: int = 2048
    threads: int | None = None

    def arguments(self) -> list[str]:
        """The command line of `vllm_quality.serving.llama_server` that serves this."""
        given = {
            "--model": self.model,
            "--name": self.name,
            "--port": self.port,
            "--chat-template": self.chat_template,
            "--run-share": self.run_share,
            "--slots": self.slots,
            "--tokens-per-slot": self.tokens_per_slot,
            "--threads": self.threads,
        }
        return [f"{flag}={value}" for flag, value in given.items() if value is not None]


@contextmanager
def serve(options: LlamaOptions) -> Iterator[str]:
    """Serves the model while the block runs; yields the base URL, such as http://127.0.0.1:40123.

    Raises `LlamaError` when the engine is not installed, the file is no model, or it is not up within a minute. The
    server ends with the block, and also when this process is killed.
    """
    if importlib.util.find_spec("xllamacpp") is None:
        raise LlamaError(
            "The package xllamacpp, which serves the demo's model, is missing; pip install 'vllm-quality[demo]'."
        )
    if not options.model.is_file():
        raise LlamaError(f"There is no model file {str(options.model)!r}; give the path of a GGUF file.")
    with tempfile.TemporaryFile() as log, _child(options, log) as process:
        yield _await_base_url(process, options, log)


@contextmanager
def _child(options: LlamaOptions, log: IO[bytes]) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-m", "vllm_quality.serving.llama_server", *options.arguments()]
    # A session of its own: Ctrl-C reaches this process only, which then ends the server in order.
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True
    )
    try:
        yield process
    finally:
        cast(IO[bytes], process.stdin).close()  # end of input is the child's signal to stop
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        cast(IO[bytes], process.stdout).close()


def _await_base_url(process: "subprocess.Popen[bytes]", options: LlamaOptions, log: IO[bytes]) -> str:
    try:
        return first_line(cast(IO[bytes], process.stdout), START_TIMEOUT_S)
    except TimeoutError:
        raise LlamaError(
            f"llama.cpp did not get ready with {options.model} within {START_TIMEOUT_S:.0f} s; try again on a less busy machine."
        ) from None
    except EOFError:
        raise LlamaError(
            f"llama.cpp cannot serve {options.model}: {_last_line(log)}; is it a whole GGUF model?"
        ) from None


def _last_line(log: IO[bytes]) -> str:
    log.seek(0)
    lines = [text for text in log.read().decode(errors="replace").splitlines() if text.strip()]
    return lines[-1].strip().rstrip(".") if lines else "it ended without a word"
