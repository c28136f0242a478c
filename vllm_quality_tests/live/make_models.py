"""A GGUF file as Hugging Face folders: `good` as it is, `noisy` with Gaussian noise on its weights.

    python make_models.py FILE FOLDER NOISE SEED

Run by the Python of vLLM's environment, which has torch and transformers; it imports nothing of this project.
"""

import sys
from pathlib import Path
from typing import Any


def load(gguf: Path) -> tuple[Any, Any]:
    """Tokenizer and model, dequantized to bfloat16."""
    import torch  # type: ignore[import-not-found, unused-ignore]
    from transformers import (  # type: ignore[import-not-found, unused-ignore]
        AutoModelForCausalLM,
        AutoTokenizer,
        GgufConfig,
    )

    place = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    tokenizer = AutoTokenizer.from_pretrained(**place)
    plain = GgufConfig(dequantize=True)
    model = AutoModelForCausalLM.from_pretrained(**place, dtype=torch.bfloat16, quantization_config=plain)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config  # else vLLM looks for quantized weights
    return tokenizer, model


def damage(model: Any, noise: float, seed: int) -> None:
    """Add noise to every matrix, of `noise` times the matrix's own standard deviation; the same for the same seed."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, weights in sorted(model.named_parameters()):
            if weights.ndim == 2:
                exact = weights.float()
                drawn = torch.randn(exact.shape, generator=generator)
                weights.copy_(exact + drawn * exact.std() * noise)


def main(gguf: Path, folder: Path, noise: float, seed: int) -> None:
    tokenizer, model = load(gguf)
    for name in ("good", "noisy"):
        if name == "noisy":
            damage(model, noise, seed)
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
