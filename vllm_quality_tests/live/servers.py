"""The servers that the live tier talks to, each on a free loopback port for as long as a `with` block lasts."""

import json
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import yaml

from vllm_quality_tests.dagster_dev import free_port
from vllm_quality_tests.live.cache import Command, cache_folder, child_environment, tail
from vllm_quality_tests.live.oci_image import write_image
from vllm_quality_tests.live.process import ServerError, running
from vllm_quality_tests.live.programs import RegistryPrograms, ensure_registry, ensure_s3
from vllm_quality_tests.live.vllm_venv import ensure_vllm

_USER, _PASSWORD = "robot", "live-tier-password"
# The same password as bcrypt has it, the only form of htpasswd that the registry reads.
_HTPASSWD = f"{_USER}:$2y$05$abcdefghijklmnopqrstuur2CgAVQyag9SKoKyRsmzgaJDPVoguNq\n"

# 22 s to start on two cores, in 2.8 GB, where compiling the model takes 127 s. One process less is started than usual, and
# threads that wait for each other sleep: where they spin, as is OpenMP's habit, a busy second core makes them 10 times slower.
# Without TORCH_COMPILE_DISABLE the first request for log probabilities waits 20 s for a C++ compiler.
_VLLM_ARGUMENTS = ["--enforce-eager", "--distributed-executor-backend=uni"]
_VLLM_ENVIRONMENT = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "2",
    "OMP_WAIT_POLICY": "PASSIVE",
    "TORCH_COMPILE_DISABLE": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_HOST_IP": "127.0.0.1",
    "VLLM_NO_USAGE_STATS": "1",
}


@contextmanager
def vllm_server(
    model: Path,
    served_name: str = "smollm2",
    *,
    port: int | None = None,
    max_model_len: int = 2048,
    dtype: str = "bfloat16",
    timeout_s: float = 300,
) -> Iterator[str]:
    """vLLM serving a Hugging Face folder; its base URL, without /v1.

    port   another server's port, once that is stopped: the next release at the same address
    Raises `Unavailable` when vLLM cannot be had here, `ServerError` when it does not come up.
    """
    chosen = port or free_port()
    base_url = f"http://127.0.0.1:{chosen}"
    command: list[str | Path] = [ensure_vllm() / "vllm", "serve", model, "--host=127.0.0.1", f"--port={chosen}"]
    command += [f"--served-model-name={served_name}", f"--max-model-len={max_model_len}"]
    command += [f"--dtype={dtype}", *_VLLM_ARGUMENTS]
    with tempfile.TemporaryDirectory(prefix="vllm-quality-vllm-", ignore_cleanup_errors=True) as scratch:
        # It leaves its sockets behind, so they get a folder of their own.
        folders = {"TMPDIR": scratch, "VLLM_CACHE_ROOT": str(cache_folder() / "vllm-state")}
        with running(
            f"vllm-{model.name}",
            command,
            ready=lambda: _answers(f"{base_url}/health"),
            timeout_s=timeout_s,
            environment=_VLLM_ENVIRONMENT | folders,
        ):
            yield base_url


@dataclass(frozen=True)
class Registry:
    """A running OCI registry. `user` and `password` are None where it asks for none."""

    host: str
    programs: RegistryPrograms
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    def push(self, tag: str, content: str, repository: str = "acme/vllm") -> str:
        """Push an image of that content under the tag, new or not; its digest. Raises `ServerError`."""
        with tempfile.TemporaryDirectory(prefix="vllm-quality-image-") as folder:
            digest = write_image(Path(folder), content)
            destination = f"docker://{self.host}/{repository}:{tag}"
            self._skopeo("copy", "--dest-", [f"dir:{folder}", destination])
        return digest

    def tags(self, repository: str = "acme/vllm") -> list[str]:
        """The tags as skopeo, a client that is not ours, lists them."""
        listed = json.loads(self._skopeo("list-tags", "--", [f"docker://{self.host}/{repository}"]))
        return sorted(listed["Tags"])

    def _skopeo(self, verb: str, prefix: str, places: Sequence[str]) -> str:
        command = [str(self.programs.skopeo), "--insecure-policy", verb, f"{prefix}tls-verify=false"]
        if self.user:
            command.append(f"{prefix}creds={self.user}:{self.password}")
        done = subprocess.run(
            [*command, *places], capture_output=True, text=True, timeout=60, check=False, env=child_environment()
        )
        if done.returncode != 0:
            raise ServerError(f"skopeo {verb} failed with {done.returncode}:\n{tail(done.stderr)}")
        return done.stdout


@contextmanager
def oci_registry(*, login: bool = False, timeout_s: float = 30) -> Iterator[Registry]:
    """Debian's OCI registry, empty; with `login` it asks for a user and password, for reading too.

    Raises `Unavailable` when it cannot be had here, `ServerError` when it does not come up.
    """
    programs = ensure_registry()
    host = f"127.0.0.1:{free_port()}"
    with tempfile.TemporaryDirectory(prefix="vllm-quality-registry-") as folder:
        config = {
            "version": 0.1,
            "log": {"level": "warn"},
            "storage": {"filesystem": {"rootdirectory": f"{folder}/data"}, "delete": {"enabled": True}},
            "http": {"addr": host},
        }
        if login:
            (Path(folder) / "htpasswd").write_text(_HTPASSWD, encoding="ascii")
            config["auth"] = {"htpasswd": {"realm": "live", "path": f"{folder}/htpasswd"}}
        (Path(folder) / "config.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        command: Command = [programs.server, "serve", f"{folder}/config.yml"]
        status = 401 if login else 200
        with running("registry", command, ready=lambda: _answers(f"http://{host}/v2/", status), timeout_s=timeout_s):
            yield Registry(host, programs, _USER, _PASSWORD) if login else Registry(host, programs)


@dataclass(frozen=True)
class S3:
    """A running S3 server with one empty bucket."""

    endpoint: str
    bucket: str
    access_key: str
    secret_key: str = field(repr=False)

    @property
    def environment(self) -> dict[str, str]:
        """The variables from which boto3, and so the project, takes its credentials."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
        }


@contextmanager
def s3_server(bucket: str = "llm-eval-ds", *, timeout_s: float = 90) -> Iterator[S3]:
    """SeaweedFS with an empty bucket; it checks signatures and honours conditional writes.

    Raises `Unavailable` when it cannot be had here, `ServerError` when it does not come up.
    """
    weed = ensure_s3()
    ports = _free_ports(8)
    server = S3(f"http://127.0.0.1:{ports[0]}", bucket, "live-key", "live-secret")
    with tempfile.TemporaryDirectory(prefix="vllm-quality-s3-") as folder:
        keys = [{"accessKey": server.access_key, "secretKey": server.secret_key}]
        identity = {"name": "live", "credentials": keys, "actions": ["Admin", "Read", "List", "Tagging", "Write"]}
        (Path(folder) / "s3.json").write_text(json.dumps({"identities": [identity]}), encoding="utf-8")
        try:
            command = _weed(weed, folder, ports)
            # Left to itself it takes longer than ten seconds to end, and nothing of it is kept.
            with running("s3", command, ready=lambda: _takes_objects(server), timeout_s=timeout_s, grace_s=0.5):
                yield server
        finally:
            for port in ports:  # it leaves its sockets behind
                for socket in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                    socket.unlink(missing_ok=True)


def _weed(weed: Path, folder: str, ports: Sequence[int]) -> Command:
    services = ("s3", "master", "volume", "filer")
    named = [f"-{name}.port={port}" for name, port in zip(services, ports[:4], strict=True)]
    named += [f"-{name}.port.grpc={port}" for name, port in zip(services, ports[4:], strict=True)]
    loopback = [f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", *named]
    s3 = ["-s3", f"-s3.config={folder}/s3.json", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    # It reports home unless told not to; and alone it need not wait ten seconds for other candidates.
    master = ["-master.telemetry=false", "-master.electionTimeout=1s"]
    return [weed, "server", *loopback, *s3, *master, "-volume.max=20"]


def _free_ports(count: int) -> list[int]:
    ports: set[int] = set()
    while len(ports) < count:
        ports.add(free_port())
    return sorted(ports)


def _takes_objects(server: S3) -> bool:
    """Whether a bucket can be made and written to: its port answers well before its parts know each other."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    once = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1})
    keys = {"aws_access_key_id": server.access_key, "aws_secret_access_key": server.secret_key}
    client = boto3.client("s3", endpoint_url=server.endpoint, region_name="us-east-1", config=once, **keys)
    taken = (client.exceptions.BucketAlreadyOwnedByYou, client.exceptions.BucketAlreadyExists)
    try:
        with suppress(*taken):
            client.create_bucket(Bucket=server.bucket)
        client.put_object(Bucket=server.bucket, Key="probe", Body=b"probe")
        client.delete_object(Bucket=server.bucket, Key="probe")
    except (BotoCoreError, ClientError):
        return False
    finally:
        client.close()
    return True


def _answers(url: str, status: int = 200) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == status
    except httpx.HTTPError:
        return False
