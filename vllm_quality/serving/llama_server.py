"""The process that `vllm_quality.serving.llama` starts: one llama.cpp server, until its input ends.

By hand: `python -m vllm_quality.serving.llama_server --model FILE.gguf --port 8000`, stopped with Ctrl-D or Ctrl-C. It
prints its base URL once it answers.
"""

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

_CYCLE_S = 0.04


def main(arguments: list[str] | None = None) -> None:
    """Serves a GGUF file as the flags say (see `LlamaOptions`) and returns when standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m vllm_quality.serving.llama_server", description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--name", default="SmolLM2-135M-Instruct")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--chat-template")
    parser.add_argument("--run-share", type=float, default=1.0)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--tokens-per-slot", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=min(4, len(os.sched_getaffinity(0))))
    options = parser.parse_args(arguments)

    # Read when libgomp is loaded. Its threads otherwise wait for each other in busy loops, and decoding gets 20 times
    # slower as soon as one of them has to share its core with the client.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what llama.cpp prints is log
    # Forked while this process has a single thread.
    throttle = _fork_throttle(options.run_share) if options.run_share < 1 else None
    server = _start(options)
    if throttle is not None:
        os.write(throttle, b"!")
    print(server.listening_address, file=answers, flush=True)
    # llama.cpp's threads may be the ones to get a Ctrl-C, and Python's handler would wait for this one.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    while sys.stdin.buffer.read(4096):
        pass


def _start(options: argparse.Namespace) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(options.model)
    params.model_alias = {options.name}
    params.hostname = "127.0.0.1"
    params.port = options.port
    params.n_parallel = options.slots
    params.n_ctx = options.slots * options.tokens_per_slot
    params.cpuparams.n_threads = options.threads
    params.cpuparams_batch.n_threads = options.threads
    params.endpoint_metrics = True
    params.webui = False
    params.cache_ram_mib = 0  # by default 8 GB of earlier prompts
    # Any text, but only text: without a grammar a chat answer with a broken UTF-8 sequence ends in HTTP 500
    # (ggml-org/llama.cpp#27543), and small models break Korean often.
    params.sampling.grammar = "root ::= .*"
    if options.chat_template is not None:
        params.use_jinja = True
        params.chat_template = options.chat_template
    return xllamacpp.Server(params)


def _fork_throttle(run_share: float) -> int:
    """Starts a process that stops and continues this one in turns, from the first byte written to the returned pipe."""
    server = os.getpid()
    go, ready = os.pipe()
    if os.fork():
        os.close(go)
        return ready
    try:
        # Ctrl-C is for the server: whoever stops it must be there to continue it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.close(ready)
        os.closerange(0, 3)
        started = os.read(go, 1)
        while started and os.getppid() == server:
            os.kill(server, signal.SIGSTOP)
            time.sleep(_CYCLE_S * (1 - run_share))
            os.kill(server, signal.SIGCONT)
            time.sleep(_CYCLE_S * run_share)
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
