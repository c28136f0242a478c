"""Cheap early signals of a suite: what its answers look like, before anyone asks whether they are right."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from vllm_quality.eval.answers import Answer
from vllm_quality.eval.deepeval_tests.texts import is_hangul
from vllm_quality.eval.standard_errors import mean_stderr

_REFUSAL = re.compile(
    r"\b(?:i(?:'m| am) (?:\w+ )?(?:sorry|unable|not able)|i (?:can ?not|can't|won't|will not|must decline)"
    r"|(?:sorry|apologi[sz]e),? (?:but )?i\b|as an ai\b|i do not feel comfortable|i don't feel comfortable)"
    r"|죄송|미안하지만|(?:답변|대답|도움|도와|제공|응답|말씀)[^.!?\n]{0,12}(?:수 없|어렵습니다|못합니다|못해)"
    r"|할 수 없습니다|AI (?:언어 )?모델로서|인공지능(?: 언어)? ?모델로서",
    re.IGNORECASE,
)
_OPENING = 200  # a refusal begins with it; further on the words belong to the answer


@dataclass(frozen=True)
class Signal:
    """What one item's answer shows. A generated text has one; an item scored by likelihood has the gold text's logprob.

    text          the generated answer, None where nothing is generated
    tokens        its length as the server counted, where it did
    truncated     whether the token limit cut it off
    gold_logprob  logprob of the gold continuation in nats per UTF-8 byte of it
    """

    text: str | None = None
    tokens: int | None = None
    truncated: bool = False
    gold_logprob: float | None = None

    def values(self) -> dict[str, float]:
        """What there is of it as numbers, by the names that metrics have (`verdict/metrics.py`)."""
        found: dict[str, float | None] = {"gold_logprob": self.gold_logprob}
        if self.text is not None:
            found |= {
                "answer_chars": len(self.text),
                "answer_tokens": self.tokens,
                "truncated_ratio": self.truncated,
                "hangul_ratio": hangul_share(self.text),
                "refusal_ratio": is_refusal(self.text),
            }
        return {name: float(value) for name, value in found.items() if value is not None}


def signal_of(answer: Answer) -> Signal:
    """What a generated answer shows; nothing where it could not be had."""
    if answer.status == "infra_error":
        return Signal()
    return Signal(answer.text, answer.output_tokens, answer.status == "truncated")


def hangul_share(text: str) -> float | None:
    """The share of Hangul among a text's letters, in Unicode's composed or decomposed form; None without letters."""
    letters = [letter for letter in text if letter.isalpha()]
    return sum(map(is_hangul, letters)) / len(letters) if letters else None


def is_refusal(text: str) -> bool:
    """Whether an answer begins as a refusal does, in English or Korean ("I'm sorry, but I", "답변드릴 수 없습니다")."""
    return _REFUSAL.search(text[:_OPENING].replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")) is not None


def signal_metrics(step: str, signals: Sequence[Signal]) -> dict[str, float]:
    """The means of all signals that there are, each with its standard error, by metric path."""
    found: dict[str, list[float]] = {}
    for signal in signals:
        for name, value in signal.values().items():
            found.setdefault(name, []).append(value)
    metrics: dict[str, float] = {}
    for name, values in found.items():
        metrics[f"{step}/{name}"] = fmean(values)
        stderr = mean_stderr(values, range(len(values)))
        if stderr is not None:
            metrics[f"{step}/{name}_stderr"] = stderr
    return metrics


def signal_rows(item: Mapping[str, object], signal: Signal) -> list[dict[str, object]]:
    """The rows of the `samples` table for what an item's answer shows.

    item  the columns that all rows of the item have in common
    """
    return [
        {**item, "metric": name, "score": value, "status": "ok", "judge": None}
        for name, value in signal.values().items()
    ]
