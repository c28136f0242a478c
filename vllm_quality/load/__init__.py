"""Measures an OpenAI-compatible endpoint under load. `stress_test` is the door for notebooks and scripts."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vllm_quality.load.qianfan import stress_test

__all__ = ["stress_test"]


def __getattr__(name: str) -> object:
    # Imported when it is asked for: every module of this package runs this file first.
    if name == "stress_test":
        from vllm_quality.load.qianfan import stress_test

        return stress_test
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
