"""As much of a Kubernetes API server as Dagster talks to: Jobs and their pods, authorised by the rules of a Role.

With a `Kubelet` each Job's container runs as a process of this machine; without one its pod just stays "Running".
"""

import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/v1/namespaces/(?P<namespace>[^/]+)/(?P<resource>[^/]+)"
    r"(?:/(?P<name>[^/]+)(?:/(?P<sub>[^/]+))?)?"
)


class Call(NamedTuple):
    """What a Role rule would have to allow: ("create", "batch", "jobs")."""

    verb: str
    group: str
    resource: str


def calls_allowed_by(role: Mapping[str, Any]) -> set[Call]:
    """Every single call that a Role's rules grant."""
    return {
        Call(verb, group, resource)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@dataclass(frozen=True)
class Kubelet:
    """Starts containers as processes: their environment comes from the manifest, as in a pod, and from nowhere else.

    config_maps, secrets    by name, their data
    overrides               variables that stand for what a mount would give: folders of this machine
    arguments               replacements for arguments that only hold in a pod, such as addresses
    with_token              working folder of a pod that has its account's token: credentials may lie in it
    without_token           working folder of the others
    """

    config_maps: Mapping[str, Mapping[str, str]]
    secrets: Mapping[str, Mapping[str, str]]
    overrides: Mapping[str, str]
    arguments: Mapping[str, str]
    logs: Path
    with_token: Path
    without_token: Path

    def environment(self, container: Mapping[str, Any]) -> dict[str, str]:
        """The container's variables. KeyError when a reference points nowhere: its pod would not start."""
        found: dict[str, str] = {}
        for source in container.get("envFrom") or []:
            if "configMapRef" in source:
                found |= self.config_maps[source["configMapRef"]["name"]]
            else:
                found |= self.secrets[source["secretRef"]["name"]]
        for variable in container.get("env") or []:
            if "valueFrom" in variable:
                reference = variable["valueFrom"]["secretKeyRef"]
                found[variable["name"]] = self.secrets[reference["name"]][reference["key"]]
            else:
                found[variable["name"]] = variable.get("value") or ""
        return {**found, **self.overrides}

    def start(self, pod: Mapping[str, Any], name: str) -> subprocess.Popen[bytes]:
        """The process of a pod's only container, in a group of its own; its output goes to a file of that name."""
        (container,) = pod["containers"]
        arguments = [self.arguments.get(argument, argument) for argument in container["args"]]
        environment = {"PATH": os.environ["PATH"], "HOSTNAME": name} | self.environment(container)
        folder = self.with_token if pod["automountServiceAccountToken"] else self.without_token
        with (self.logs / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                arguments, env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True
            )


@dataclass
class Pod:
    """A Job's only pod. Deleting the Job leaves it running, as Kubernetes' default for Jobs is."""

    job: dict[str, Any]
    process: subprocess.Popen[bytes] | None
    job_deleted: bool = False
    ending: threading.Thread | None = None

    @property
    def exit_code(self) -> int | None:
        return self.process.poll() if self.process else None


@dataclass
class KubernetesApi:
    """The state behind the socket. `calls` are those that were allowed, `refused` those that got a 403."""

    allowed: set[Call] | None = None
    kubelet: Kubelet | None = None
    url: str = ""
    calls: set[Call] = field(default_factory=set)
    refused: set[Call] = field(default_factory=set)
    jobs: list[dict[str, Any]] = field(default_factory=list)
    pods: dict[str, Pod] = field(default_factory=dict)

    def kubeconfig(self, path: Path, namespace: str) -> Path:
        """A file for the client library to find this server by."""
        context = {"name": "c", "context": {"cluster": "c", "user": "u", "namespace": namespace}}
        path.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "c",
                    "contexts": [context],
                    "clusters": [{"name": "c", "cluster": {"server": self.url}}],
                    "users": [{"name": "u", "user": {}}],
                }
            ),
            encoding="utf-8",
        )
        return path

    def answer(self, call: Call, name: str | None, query: Mapping[str, str], body: Any) -> tuple[int, Any]:
        """Status and body of one call."""
        if self.allowed is not None and call not in self.allowed:
            self.refused.add(call)
            return 403, {
                "kind": "Status",
                "status": "Failure",
                "reason": "Forbidden",
                "message": f"{call} is forbidden",
            }
        self.calls.add(call)
        match call.resource, call.verb:
            case "jobs", "create":
                return 201, self._create(body)
            case "jobs", "list":
                return 200, {"items": [self._job(pod) for pod in self._selected(query) if not pod.job_deleted]}
            case "pods", "list":
                return 200, {"items": [self._pod(pod) for pod in self._selected(query)]}
            case "events", "list":
                return 200, {"items": []}
        pod = self.pods.get(name or "")
        if pod is None or (call.resource.startswith("jobs") and pod.job_deleted):
            return 404, {"kind": "Status", "status": "Failure", "reason": "NotFound"}
        match call.resource, call.verb:
            case "jobs/status", "get":
                return 200, self._job(pod)
            case "pods", "get":
                return 200, self._pod(pod)
            case "pods/log", "get":
                return 200, "a line of the log\n"
            case "jobs", "delete":
                pod.job_deleted = True
            case "pods", "delete":
                self._end(pod)
            case _:
                return 405, {"kind": "Status", "status": "Failure", "reason": "MethodNotAllowed"}
        return 200, {"kind": "Status", "status": "Success"}

    @staticmethod
    def _end(pod: Pod) -> None:
        # As in a cluster: the answer comes at once, the end within the grace period, and one signal is all it gets.
        if pod.ending is None:
            pod.ending = threading.Thread(target=stop, args=[pod.process], daemon=True)
            pod.ending.start()

    def _create(self, job: dict[str, Any]) -> dict[str, Any]:
        name = job["metadata"]["name"]
        pod = job["spec"]["template"]["spec"]
        self.jobs.append(job)
        self.pods[name] = Pod(job, self.kubelet.start(pod, name) if self.kubelet else None)
        return job

    def _selected(self, query: Mapping[str, str]) -> list[Pod]:
        # Job and pod have one name here, so both selectors come to the same.
        selector = query.get("labelSelector") or query.get("fieldSelector") or ""
        return [self.pods[name] for name in [selector.split("=")[-1]] if name in self.pods]

    def _job(self, pod: Pod) -> dict[str, Any]:
        code = pod.exit_code
        state = {"active": int(code is None), "succeeded": int(code == 0), "failed": int(code not in (None, 0))}
        return {**pod.job, "status": {"startTime": datetime.now(UTC).isoformat(), **state}}

    def _pod(self, pod: Pod) -> dict[str, Any]:
        template = pod.job["spec"]["template"]
        name, container = pod.job["metadata"]["name"], template["spec"]["containers"][0]["name"]
        status = {"name": container, "ready": True, "restartCount": 0, "image": "i", "imageID": "i"}
        return {
            "metadata": {"name": name, "uid": f"uid-of-{name}", "labels": template["metadata"]["labels"]},
            "spec": {"containers": [{"name": container}]},
            "status": {"phase": "Running", "containerStatuses": [{**status, "state": {"running": {}}}]},
        }


def stop(process: subprocess.Popen[bytes] | None, grace_s: float = 30) -> None:
    """End a container and what it started, as a kubelet does."""
    if process is None:
        return
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=grace_s)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=10)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api: KubernetesApi
    lock: threading.Lock

    def _serve(self, verb: str) -> None:
        parts = urlsplit(self.path)
        found = PATH.fullmatch(parts.path)
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"null")
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        if found is None:
            self._send(404, {"kind": "Status", "reason": "NotFound"})
            return
        resource = found["resource"] + (f"/{found['sub']}" if found["sub"] else "")
        named = "get" if found["name"] else "list"
        call = Call(named if verb == "get" else verb, found["group"] or "", resource)
        with self.lock:
            answer = self.api.answer(call, found["name"], query, body)
        self._send(*answer)

    def _send(self, status: int, body: Any) -> None:
        content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if isinstance(body, str) else "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        self._serve("get")

    def do_POST(self) -> None:
        self._serve("create")

    def do_DELETE(self) -> None:
        self._serve("delete")

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serve_kubernetes(roles: Sequence[Mapping[str, Any]] | None, kubelet: Kubelet | None) -> Iterator[KubernetesApi]:
    """A server on loopback that allows what `roles` grant (everything when None). Its containers end with it."""
    allowed = None if roles is None else set().union(*(calls_allowed_by(role) for role in roles))
    api = KubernetesApi(allowed=allowed, kubelet=kubelet)
    handler = type("Handler", (_Handler,), {"api": api, "lock": threading.Lock()})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        api.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield api
        finally:
            for pod in api.pods.values():
                stop(pod.process, grace_s=2)
            server.shutdown()
            thread.join()
