"""A variant's vLLM: its model made, served on a free loopback port, and stopped."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import httpx

from vllm_quality_tests.dagster_dev import free_port
from vllm_quality_tests.detection.proxy import Flaw, flawed
from vllm_quality_tests.detection.variants import Variant
from vllm_quality_tests.live.cache import cache_folder, run
from vllm_quality_tests.live.models import ensure_models
from vllm_quality_tests.live.process import running
from vllm_quality_tests.live.vllm_venv import ensure_vllm

MODEL = "SmolLM2-135M-Instruct"
_SCRIPT = Path(__file__).parent / "damage.py"
_ARGUMENTS = (
    "--host=127.0.0.1",
    "--served-model-name=smollm2",
    "--max-model-len=2048",
    "--dtype=bfloat16",
    "--enforce-eager",
    "--trust-request-chat-template",
    "--distributed-executor-backend=uni",
)
# As the live tier's, see `live/servers.py`; threads that are not bound leave the cores to several servers at a time.
_ENVIRONMENT = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "TORCH_COMPILE_DISABLE": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_HOST_IP": "127.0.0.1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_SERVER_DEV_MODE": "1",  # lets weights be exchanged
}


class Server:
    """A running vLLM, whose weights can be exchanged for a variant's."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self._folder = url, folder

    @contextmanager
    def showing(self, variant: Variant) -> Iterator[str]:
        """The variant's base URL."""
        model = damaged(variant, self._folder / variant.name)
        self._post("/collective_rpc", {"method": "reload_weights", "kwargs": {"weights_path": str(model)}})
        self._post("/reset_prefix_cache", None)  # what the old weights made of prompts
        flaw = Flaw(variant.rewrite, variant.template, at_once=variant.at_once)
        with flawed(self.url, flaw) if flaw != Flaw() else nullcontext(self.url) as base_url:
            yield base_url
        shutil.rmtree(self._folder / variant.name, ignore_errors=True)

    def _post(self, path: str, body: object) -> None:
        httpx.post(f"{self.url}{path}", json=body, timeout=300).raise_for_status()


@contextmanager
def server_of(variant: Variant, timeout_s: float = 400) -> Iterator[Server]:
    """vLLM started as the variant wants it. Raises `Unavailable` and `ServerError`."""
    with tempfile.TemporaryDirectory(prefix="vllm-quality-detection-", ignore_cleanup_errors=True) as folder:
        scratch = Path(folder)
        url = f"http://127.0.0.1:{free_port()}"
        model = damaged(variant, scratch / "model") if variant.own_server else ensure_models().good
        command: list[str | Path] = [ensure_vllm() / "vllm", "serve", model, f"--port={url.rpartition(':')[2]}"]
        # vLLM leaves its sockets behind, so they get a folder of their own.
        (scratch / "tmp").mkdir()
        folders = {"TMPDIR": str(scratch / "tmp"), "VLLM_CACHE_ROOT": str(cache_folder() / "vllm-state")}
        with running(
            f"vllm-detection-{variant.name}",
            [*command, *_ARGUMENTS, *variant.arguments],
            ready=lambda: _healthy(url),
            timeout_s=timeout_s,
            environment={**_ENVIRONMENT, **folders, "OMP_NUM_THREADS": str(variant.threads)},
        ):
            yield Server(url, scratch)


def damaged(variant: Variant, folder: Path) -> Path:
    """The variant's model in a folder; the good model's own where nothing is done to it."""
    good = ensure_models().good
    if not variant.damage:
        return good
    run(
        [ensure_vllm() / "python", "-P", _SCRIPT, good, folder, json.dumps(variant.damage)],
        timeout_s=300,
        environment={"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )
    return folder


def shuffled(tasks: Path, folder: Path, seed: str) -> Path:
    """A copy of the tasks whose items come in another order, so that other items share a batch; their names stay."""
    import random

    shutil.copytree(tasks, folder)
    for data in folder.glob("*.jsonl"):
        lines = data.read_text(encoding="utf-8").splitlines(keepends=True)
        random.Random(seed).shuffle(lines)
        data.write_text("".join(lines), encoding="utf-8")
        task = folder / f"{data.stem}.yaml"
        task.write_text(task.read_text(encoding="utf-8").replace(str(tasks), str(folder)), encoding="utf-8")
    return folder


def _healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False
