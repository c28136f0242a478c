"""What the evaluation tests share."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vllm_quality.eval.environment import prepare_lm_eval
from vllm_quality.eval.task_index import BuiltinTasks
from vllm_quality_tests.servers.openai_api import OpenAIServer


@pytest.fixture(scope="session", autouse=True)
def _framework_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hugging Face's and deepeval's files go to a temporary folder: both read the environment when they are imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("huggingface")))
        for name in ("DEEPEVAL_HOME", "DEEPEVAL_CACHE_FOLDER", "DEEPEVAL_RESULTS_FOLDER"):
            patch.setenv(name, str(tmp_path_factory.mktemp("deepeval")))
        yield


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    """A running server; its `answer` and `fault` may be set at any time."""
    with OpenAIServer() as running:
        yield running


@pytest.fixture(scope="session")
def _task_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder that knows the names of lm-eval's tasks: reading its 14,000 files once is enough."""
    folder = tmp_path_factory.mktemp("index")
    prepare_lm_eval(None)
    BuiltinTasks(folder).entries("arc_easy")
    return folder


@pytest.fixture
def used_before(_task_index: Path) -> Callable[[Path], Path]:
    """Makes a work folder one in which lm-eval's own tasks have been asked for before."""

    def copy(work_folder: Path) -> Path:
        return Path(shutil.copytree(_task_index, work_folder, dirs_exist_ok=True))

    return copy
