"""The releases of the recorded set: what each does to a good model, and whether it should be called worse.

SmolLM2 has no BOS token to be missing; its nearest mistake is a special token before every text that should have none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Expected = Literal["good", "bad"]

_ALPACA = (
    "{% for message in messages %}{{ '### Instruction:\n' + message['content'] + '\n\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '### Response:\n' }}{% endif %}"
)
GENERATED = ("det_cloze", "det_countries", "det_copy")
_NO_NEWLINE = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant' }}{% endif %}"
)


@dataclass(frozen=True)
class Variant:
    """One release.

    kind       of damage, in words
    damage     what `damage.py` does to the model's files
    arguments  of vLLM, beyond the usual
    threads    of vLLM
    suites     those that the damage can reach, where that is not all: the others are as in a run of the good release,
               which on a CPU repeats to the last bit
    rewrite    what the proxy in front of vLLM does to a request: "temperature", "cut", "prefix"
    at_once    requests that it lets through at a time
    template   the chat template that it has vLLM use
    """

    name: str
    expected: Expected
    kind: str
    damage: Mapping[str, float | str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    threads: int = 1
    suites: tuple[str, ...] = ()
    rewrite: str | None = None
    template: str | None = None
    at_once: int | None = None

    @property
    def own_server(self) -> bool:
        """Whether vLLM has to be started for it; the weights of a running one can be exchanged."""
        return bool(self.arguments) or self.threads != 1 or "window" in self.damage

    @property
    def parameters(self) -> dict[str, object]:
        """For the manifest."""
        told: dict[str, object] = {"damage": dict(self.damage), "arguments": list(self.arguments)}
        told |= {"rewrite": self.rewrite, "template": self.template, "at_once": self.at_once}
        return {name: value for name, value in told.items() if value} | {"threads": self.threads}


def _bad(name: str, kind: str, **damage: float | str) -> Variant:
    return Variant(name, "bad", kind, damage)


# The most telling first: whoever stops early has a set that is worth something.
VARIANTS = (
    Variant("aa_1", "good", "the same release again"),
    Variant("rounding_1", "good", "other arithmetic: each weight off by its rounding", {"rounding": 1}),
    _bad("noise_10", "noise on the weights, 0.10", noise=0.10),
    _bad("noise_05", "noise on the weights, 0.05", noise=0.05),
    Variant("template_foreign", "bad", "another model's chat template", template=_ALPACA, suites=("det_countries",)),
    Variant("temperature", "bad", "temperature left on (1.0)", rewrite="temperature", suites=GENERATED),
    Variant("rounding_2", "good", "other arithmetic: each weight off by its rounding", {"rounding": 2}),
    _bad("rounded_4", "weights rounded to 4 bits", rounded=4),
    Variant(
        "hangul_noise_50",
        "bad",
        "noise on the embeddings of Hangul, 0.5",
        {"hangul_noise": 0.5},
        suites=("det_syllables", "det_copy"),
    ),
    Variant("cut", "bad", "texts cut to their last 60 characters", rewrite="cut", suites=("det_cloze", "det_copy")),
    _bad("dropped_layer", "without layer 15 of 30", dropped_layer=15),
    Variant("prefix", "bad", "a special token before every text", rewrite="prefix"),
    Variant(
        "template_newline",
        "bad",
        "chat template without its last newline",
        template=_NO_NEWLINE,
        suites=("det_countries",),
    ),
    Variant("rounding_3", "good", "other arithmetic: each weight off by its rounding", {"rounding": 3}),
    _bad("noise_07", "noise on the weights, 0.07", noise=0.07),
    Variant("aa_2", "good", "the same release again"),
    _bad("rounded_3", "weights rounded to 3 bits", rounded=3),
    _bad("window_16", "only the last 16 tokens are seen", window=16),
    Variant(
        "hangul_noise_20",
        "bad",
        "noise on the embeddings of Hangul, 0.2",
        {"hangul_noise": 0.2},
        suites=("det_syllables", "det_copy"),
    ),
    Variant("threads_2", "good", "other arithmetic: two threads", threads=2),
    Variant("batch_4", "good", "other batches: at most 4 requests at once", at_once=4),
    Variant("chunks_64", "good", "other batches: prompts in pieces", arguments=("--max-num-batched-tokens=64",)),
)
