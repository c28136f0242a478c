"""What does a load client cost per streamed chunk, and how true are its figures? Side by side, on this machine.

    python -m vllm_quality_tests.benchmarks.client_cost --repeats 3

Each client plays the same closed loop against our known-timing server, in turns, in two sizes: the slope between them is
its CPU time (user and system, all its processes) per chunk, so that start-up falls out. Of the repeats, the least is
taken: others on the machine only ever add. The TTFT error is what the client says of its larger run less what the server
knows of the same requests, mean and p99; the median of the repeats.

Clients: `vllm-quality load-test`, its bare wire client, aiohttp with JSON, and where they are installed `vllm bench serve`
and `guidellm` (commands on the PATH, or named by VLLM_COMMAND and GUIDELLM_COMMAND; both need --tokenizer FOLDER).
"""

import argparse
import json
import os
import platform
import resource
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vllm_quality.load.play.paced import PacedServer
from vllm_quality_tests.benchmarks.table import Row, markdown

_TIMEOUT_S = 900


@dataclass(frozen=True)
class Run:
    """What a client is to play."""

    url: str
    streams: int
    requests: int
    tokens: int
    tokenizer: str
    output: Path


@dataclass(frozen=True)
class Tool:
    """A client: its command for a run, and (mean, p99) of TTFT in seconds, from what it left; None where not known."""

    name: str
    command: Callable[[Run], list[str]]
    told: Callable[[Path], tuple[float, float] | None]


def _summary(output: Path) -> tuple[float, float]:
    ttft = json.loads((output / "summary.json").read_text(encoding="utf-8"))["stages"][0]["ttft_s"]
    return ttft["mean"], ttft["p99"]


def _vllm_result(output: Path) -> tuple[float, float]:
    result = json.loads((output / "vllm.json").read_text(encoding="utf-8"))
    return result["mean_ttft_ms"] / 1000, result["p99_ttft_ms"] / 1000


def _ours(run: Run) -> list[str]:
    return [
        sys.executable, "-m", "vllm_quality", "load-test", "--base-url", run.url, "--model", "paced",
        "--concurrency", str(run.streams), "--requests", str(run.requests), "--output-tokens", str(run.tokens),
        "--output", str(run.output / "report"),
    ]  # fmt: skip


def _bare(kind: str) -> Callable[[Run], list[str]]:
    def command(run: Run) -> list[str]:
        sizes = [str(run.streams), str(run.requests), str(run.tokens)]
        return [sys.executable, "-m", "vllm_quality_tests.benchmarks.clients", kind, run.url, *sizes, str(run.output)]

    return command


def _vllm(run: Run) -> list[str]:
    return [
        *shlex.split(os.environ.get("VLLM_COMMAND", "vllm")), "bench", "serve", "--backend", "openai",
        "--base-url", run.url, "--endpoint", "/v1/completions", "--model", "paced", "--tokenizer", run.tokenizer,
        "--dataset-name", "random", "--random-input-len", "100", "--random-output-len", str(run.tokens), "--ignore-eos",
        "--num-prompts", str(run.requests), "--max-concurrency", str(run.streams), "--percentile-metrics", "ttft",
        "--metric-percentiles", "99", "--save-result", "--result-dir", str(run.output), "--result-filename", "vllm.json",
    ]  # fmt: skip


def _guidellm(run: Run) -> list[str]:
    backend = f"kind=openai_http,target={run.url},model=paced,request_format=/v1/completions"
    return [
        *shlex.split(os.environ.get("GUIDELLM_COMMAND", "guidellm")), "run", "--backend", backend,
        "--tokenizer", f"kind=huggingface_auto,model={run.tokenizer}",
        "--data", f"kind=synthetic_text,prompt_tokens=100,output_tokens={run.tokens}",
        "--profile", f"kind=concurrent,streams={run.streams}", "--constraint", f"kind=max_requests,num={run.requests}",
        "--output", f"kind=json,path={run.output / 'guidellm.json'}", "--disable-console-interactive",
    ]  # fmt: skip


def tools(tokenizer: str) -> list[Tool]:
    """The clients that can be run here; says of the others why not."""
    found = [
        Tool("vllm-quality load-test", _ours, lambda output: _summary(output / "report")),
        Tool("its wire client alone", _bare("wire"), _summary),
        Tool("aiohttp + JSON", _bare("aiohttp"), _summary),
    ]
    others = [Tool("vllm bench serve", _vllm, _vllm_result), Tool("guidellm", _guidellm, lambda _: None)]
    for tool, variable in zip(others, ("VLLM_COMMAND", "GUIDELLM_COMMAND"), strict=True):
        command = shlex.split(os.environ.get(variable, tool.name.partition(" ")[0]))[0]
        if shutil.which(command) is None:
            print(f"{tool.name}: not installed", file=sys.stderr)
        elif not tokenizer:
            print(f"{tool.name}: needs --tokenizer", file=sys.stderr)
        else:
            found.append(tool)
    return found


@dataclass(frozen=True)
class Cost:
    """One run: CPU seconds, and what the client said of TTFT less the truth, (mean, p99) in seconds."""

    cpu_s: float
    server_cpu_s: float
    error: tuple[float, float] | None


def play(tool: Tool, requests: int, options: argparse.Namespace) -> Cost:
    """One client plays one size against a server of its own. Exits, with what it said, when it fails."""
    with PacedServer(ttft=options.ttft, itl=options.itl) as server, tempfile.TemporaryDirectory() as folder:
        run = Run(server.url, options.streams, requests, options.tokens, options.tokenizer, Path(folder))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            tool.command(run),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_TIMEOUT_S,
            env=os.environ | {"HF_HUB_OFFLINE": "1", "VLLM_QUALITY_HOME": folder},
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            sys.exit(f"{tool.name} ended with {done.returncode}:\n{done.stdout[-2000:]}")
        served = server.truth()
        told = tool.told(run.output)
        server_cpu = server_cpu_s(server.pid)
    # What it asked to warm up or to find out what it talks to, came first.
    rows = served.filter(served["tokens"] == options.tokens).tail(requests)
    if rows.height < requests:
        sys.exit(f"{tool.name} asked for {rows.height} answers of {options.tokens} tokens, not {requests}.")
    waits = rows["first_s"] - rows["received_s"]
    true_mean, true_p99 = sum(waits) / requests, waits.quantile(0.99, "linear") or 0.0
    error = (told[0] - true_mean, told[1] - true_p99) if told is not None else None
    return Cost(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, server_cpu, error)


def server_cpu_s(pid: int) -> float:
    """CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Play all clients in turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=256, help="per answer, one per chunk")
    parser.add_argument("--ttft", type=float, default=0.02, help="seconds")
    parser.add_argument("--itl", type=float, default=0.002, help="seconds")
    parser.add_argument("--sizes", default="400,1600", help="requests of the two runs")
    parser.add_argument("--tokenizer", default="", help="a tokenizer's folder, for clients that insist on one")
    parser.add_argument("--only", default="", help="clients whose names hold this")
    options = parser.parse_args()
    small, large = (int(size) for size in options.sizes.split(","))
    chunks = (large - small) * options.tokens
    clients = [tool for tool in tools(options.tokenizer) if options.only in tool.name]
    costs: dict[str, list[float]] = {tool.name: [] for tool in clients}
    errors: dict[str, list[tuple[float, float]]] = {tool.name: [] for tool in clients}
    server = []
    for repeat in range(options.repeats):
        for tool in clients:
            first, second = play(tool, small, options), play(tool, large, options)
            costs[tool.name].append((second.cpu_s - first.cpu_s) / chunks * 1e6)
            server.append((second.server_cpu_s - first.server_cpu_s) / chunks * 1e6)
            errors[tool.name] += [second.error] if second.error is not None else []
            print(f"{repeat + 1}/{options.repeats} {tool.name}: {costs[tool.name][-1]:.2f} µs", file=sys.stderr)
    rows = []
    for tool in clients:
        told = errors[tool.name]
        mean, p99 = (statistics.median(column) * 1000 for column in zip(*told, strict=True)) if told else (None, None)
        rows.append(Row(tool.name, min(costs[tool.name]), mean, p99))
    print(
        f"{options.streams} streams of {options.tokens} tokens, {options.itl * 1000:g} ms apart, least of {options.repeats}; "
        f"{os.cpu_count()} CPUs ({platform.machine()}), Python {platform.python_version()}; the server itself takes "
        f"{min(server):.1f} µs per chunk\n\n{markdown(rows)}"
    )


if __name__ == "__main__":
    main()
