"""A real `dagster dev` on loopback, and the few GraphQL questions that the tests ask it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx

T = TypeVar("T")

ROOT = Path(__file__).parents[1]
JOB = "evaluate_release"
SELECTOR = {
    "repositoryLocationName": "vllm_quality.definitions",
    "repositoryName": "__repository__",
}
FINISHED = ("SUCCESS", "FAILURE", "CANCELED")


def free_port() -> int:
    """A port on loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: str, get: Callable[[], T | None], timeout_s: float, pause_s: float = 0.5) -> T:
    """The first answer that is neither None nor False; fails with `what` after the time-out."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = get()
        if found is not None and found is not False:
            return found
        time.sleep(pause_s)
    raise AssertionError(f"{what}: not within {timeout_s:.0f} s")


@dataclass(frozen=True)
class DagsterDev:
    """A running `dagster dev`."""

    url: str
    home: Path
    log: Path
    started_s: float

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data that a GraphQL query or mutation answers with."""
        body = {"query": query, "variables": variables}
        answer = httpx.post(f"{self.url}/graphql", json=body, timeout=60).json()
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    def runs(self) -> list[dict[str, Any]]:
        """Every run, newest first: runId, status, startTime, endTime, tags as a dictionary."""
        query = "{runsOrError {... on Runs {results {runId status startTime endTime tags {key value}}}}}"
        found = self.ask(query)["runsOrError"]["results"]
        return [run | {"tags": {tag["key"]: tag["value"] for tag in run["tags"]}} for run in found]

    def run_of(self, tag: str, statuses: tuple[str, ...] = FINISHED) -> dict[str, Any] | None:
        """The newest run of a partition in one of the statuses."""
        matching = (run for run in self.runs() if run["tags"].get("dagster/partition") == tag)
        return next((run for run in matching if run["status"] in statuses), None)

    def add_partition(self, tag: str) -> None:
        """Add a tag by hand, as the UI does."""
        mutation = """mutation ($selector: RepositorySelector!, $tag: String!) {
            addDynamicPartition(repositorySelector: $selector, partitionsDefName: "model_tag", partitionKey: $tag)
            {__typename ... on PythonError {message} ... on UnauthorizedError {message}}}"""
        answer = self.ask(mutation, selector=SELECTOR, tag=tag)["addDynamicPartition"]
        assert answer["__typename"] == "AddDynamicPartitionSuccess", answer

    def launch(self, tag: str) -> str:
        """Launch the job for a tag, as the launchpad does; the run's id."""
        mutation = """mutation ($params: ExecutionParams!) {launchPipelineExecution(executionParams: $params)
            {__typename ... on LaunchRunSuccess {run {runId}} ... on PythonError {message}
             ... on RunConfigValidationInvalid {errors {message}}}}"""
        params = {
            "selector": SELECTOR | {"jobName": JOB},
            "runConfigData": {},
            "mode": "default",
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": tag}]},
        }
        answer = self.ask(mutation, params=params)["launchPipelineExecution"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def backfill(self, tags: list[str], assets: list[str]) -> None:
        """Launch an asset backfill over tags, as the UI's lineage page does."""
        mutation = """mutation ($params: LaunchBackfillParams!) {launchPartitionBackfill(backfillParams: $params)
            {__typename ... on LaunchBackfillSuccess {backfillId} ... on PythonError {message}}}"""
        params = {"partitionNames": tags, "assetSelection": [{"path": [name]} for name in assets]}
        answer = self.ask(mutation, params=params)["launchPartitionBackfill"]
        assert answer["__typename"] == "LaunchBackfillSuccess", answer

    def assets(self) -> list[str]:
        """The keys of all assets."""
        nodes = self.ask("{assetNodes {assetKey {path}}}")["assetNodes"]
        return ["/".join(node["assetKey"]["path"]) for node in nodes]

    def checks(self, asset: str, name: str) -> list[dict[str, Any]]:
        """The executions of an asset check, newest first: status, partition, severity, description."""
        query = """query ($key: AssetKeyInput!, $name: String!) {
            assetCheckExecutions(assetKey: $key, checkName: $name, limit: 20)
            {status runId partition evaluation {success severity description}}}"""
        found: list[dict[str, Any]] = self.ask(query, key={"path": [asset]}, name=name)["assetCheckExecutions"]
        return found


@contextmanager
def dagster_dev(home: Path, environment: Mapping[str, str], timeout_s: float = 120) -> Iterator[DagsterDev]:
    """`dagster dev` as a person starts it in a checkout, on a free port, with its own DAGSTER_HOME; always stopped."""
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ROOT / "dagster.yaml", home / "dagster.yaml")
    port = free_port()
    url, log = f"http://127.0.0.1:{port}", home / "dagster-dev.log"
    command = [sys.executable, "-m", "dagster", "dev", "-h", "127.0.0.1", "-p", str(port)]
    started = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **environment, "DAGSTER_HOME": str(home)},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:

            def ready() -> bool:
                if process.poll() is not None:
                    raise AssertionError(f"dagster dev ended with {process.returncode}:\n{log.read_text()[-4000:]}")
                query = "{repositoriesOrError {... on RepositoryConnection {nodes {name}}}}"
                try:
                    answer = httpx.post(f"{url}/graphql", json={"query": query}, timeout=5).json()
                except (httpx.HTTPError, ValueError):
                    return False
                return bool(answer["data"]["repositoriesOrError"].get("nodes"))

            wait_for("dagster dev with its code location", ready, timeout_s)
            yield DagsterDev(url, home, log, time.monotonic() - started)
        finally:
            _stop(process)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Interrupt, then kill: also run workers, which are in the same process group."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
