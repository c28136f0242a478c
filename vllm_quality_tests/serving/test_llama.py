"""Serving with llama.cpp where there is nothing to serve; `live/test_demo_model.py` serves the real model."""

from pathlib import Path

import pytest

from vllm_quality.serving.llama import LlamaError, LlamaOptions, serve

pytest.importorskip("xllamacpp", reason="the extra 'demo' is not installed")


def test_a_missing_model_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(LlamaError, match="There is no model file"), serve(LlamaOptions(tmp_path / "none.gguf")):
        pass


def test_a_file_that_is_no_model_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(2000))
    with (
        pytest.raises(LlamaError, match=r"llama\.cpp cannot serve .*broken\.gguf") as caught,
        serve(LlamaOptions(tmp_path / "broken.gguf")),
    ):
        pass
    assert "\n" not in str(caught.value)
