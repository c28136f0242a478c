"""What the evaluation tests share."""

from collections.abc import Iterator

import pytest

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
