"""Cosine similarity of embeddings, asked of an OpenAI-compatible `/embeddings`."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from vllm_quality.eval.client import ModelClient, RequestFailedError
from vllm_quality.eval.judge import JudgeError
from vllm_quality.serving.endpoint import EndpointError
from vllm_quality.settings import PREFIX

_KEPT = 4096  # texts; references recur


class Embedder:
    """Asks for embeddings, each text once."""

    def __init__(self, client: ModelClient, model: str) -> None:
        self.model = model
        self._client = client
        self._known: dict[str, Sequence[float]] = {}

    async def check_ready(self) -> None:
        """Embed one word. Raises `EndpointError` rather than let every judgement fail alike."""
        try:
            await self._embed(["Hi"])
        except (RequestFailedError, JudgeError, EndpointError) as error:
            raise EndpointError(
                f"{self._client.base_url} gives no embeddings of {self.model!r} ({error}); correct "
                f"{PREFIX}EMBEDDING_MODEL, or unset it to go without cosine similarity."
            ) from None

    async def cosine(self, text: str, reference: str) -> float:
        """The cosine of the two texts' embeddings, never below 0. Raises `JudgeError`."""
        try:
            found, wanted = await self._embed([text, reference])
        except RequestFailedError as error:
            raise JudgeError(f"the embeddings could not be had: {error}") from None
        return max(_cosine(found, wanted), 0.0)

    async def _embed(self, texts: Sequence[str]) -> list[Sequence[float]]:
        found = {text: self._known[text] for text in texts if text in self._known}
        new = [text for text in dict.fromkeys(texts) if text not in found]
        if new:
            vectors = await self._client.post("/embeddings", {"model": self.model, "input": new}, _vectors)
            if len(vectors) != len(new):
                raise JudgeError(f"{len(new)} texts brought {len(vectors)} embeddings")
            found |= zip(new, vectors, strict=True)
        if len(self._known) < _KEPT:
            self._known |= found
        return [found[text] for text in texts]


def _vectors(answer: Mapping[str, Any]) -> list[Sequence[float]]:
    ordered = sorted(answer["data"], key=lambda entry: int(entry["index"]))
    return [[float(number) for number in entry["embedding"]] for entry in ordered]


def _cosine(first: Sequence[float], second: Sequence[float]) -> float:
    size = math.hypot(*first) * math.hypot(*second)
    if len(first) != len(second) or not size:
        raise JudgeError("the embeddings cannot be compared: of different lengths, or zero")
    return min(math.fsum(a * b for a, b in zip(first, second, strict=True)) / size, 1.0)
