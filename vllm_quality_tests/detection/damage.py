"""A damaged copy of a model's folder: weights or configuration.

    python damage.py GOOD FOLDER JSON

JSON maps kinds of damage to their strength, see `_WEIGHTS` and `_FILES`. Run by the Python of vLLM's environment, which has
torch and transformers; it imports nothing of this project.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

SEED = 1234
_GROUP = 64  # weights that share a scale when rounded


def noise(model: Any, strength: float) -> None:
    """Gaussian noise on every matrix, of so many of its own standard deviations; the same for the same seed."""
    import torch  # type: ignore[import-not-found, unused-ignore]

    generator = torch.Generator().manual_seed(SEED)
    for _, weights in sorted(model.named_parameters()):
        if weights.ndim == 2:
            exact = weights.float()
            weights.copy_(exact + torch.randn(exact.shape, generator=generator) * exact.std() * strength)


def rounding(model: Any, seed: int) -> None:
    """Every weight off by about as much as its own rounding to bfloat16: what other kernels do to the arithmetic."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    for _, weights in sorted(model.named_parameters()):
        exact = weights.float()
        weights.copy_(exact * (1 + torch.randn(exact.shape, generator=generator) * 2**-9))


def rounded(model: Any, bits: int) -> None:
    """The matrices between the layers rounded to 2**bits steps in groups of 64, from the smallest to the largest."""
    import torch

    for name, weights in model.named_parameters():
        if weights.ndim == 2 and "embed" not in name:
            groups = weights.float().reshape(-1, _GROUP)
            low, high = groups.amin(1, keepdim=True), groups.amax(1, keepdim=True)
            step = (high - low).clamp(min=1e-8) / (2**bits - 1)
            weights.copy_((torch.round((groups - low) / step) * step + low).reshape(weights.shape))


def dropped_layer(model: Any, number: int) -> None:
    """Without what one of its layers adds: attention and feed-forward both say nothing."""
    layer = model.model.layers[number]
    layer.self_attn.o_proj.weight.zero_()
    layer.mlp.down_proj.weight.zero_()


def hangul_noise(model: Any, strength: float, tokenizer: Any) -> None:
    """Noise on the embeddings of the tokens that spell Hangul, which no English text has."""
    import torch

    syllables = [chr(code) for code in range(0xAC00, 0xD7A4)]
    rows = sorted({token for ids in tokenizer(syllables, add_special_tokens=False)["input_ids"] for token in ids})
    weights, generator = model.get_input_embeddings().weight, torch.Generator().manual_seed(SEED)
    exact = weights[rows].float()
    weights[rows] = (exact + torch.randn(exact.shape, generator=generator) * exact.std() * strength).to(weights.dtype)


def window(folder: Path, tokens: int) -> None:
    """Every layer sees only so many tokens back: what came before them is cut off."""
    config = json.loads((folder / "config.json").read_text())
    layers = ["sliding_attention"] * config["num_hidden_layers"]
    (folder / "config.json").write_text(json.dumps(config | {"sliding_window": tokens, "layer_types": layers}))


_WEIGHTS = {"noise": noise, "rounding": rounding, "rounded": rounded, "dropped_layer": dropped_layer}
_FILES = {"window": window}


def main(good: Path, folder: Path, kinds: dict[str, Any]) -> None:
    shutil.copytree(good, folder, dirs_exist_ok=True)
    if kinds.keys() & {*_WEIGHTS, "hangul_noise"}:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer  # type: ignore[import-not-found, unused-ignore]

        model = AutoModelForCausalLM.from_pretrained(good, dtype=torch.bfloat16)
        with torch.no_grad():
            for kind, strength in kinds.items():
                if kind in _WEIGHTS:
                    _WEIGHTS[kind](model, strength)
                elif kind == "hangul_noise":
                    hangul_noise(model, strength, AutoTokenizer.from_pretrained(good))
        model.save_pretrained(folder)
    for kind, strength in kinds.items():
        if kind in _FILES:
            _FILES[kind](folder, strength)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3]))
