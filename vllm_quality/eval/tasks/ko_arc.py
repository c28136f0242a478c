"""Which choice a written answer to a Korean multiple choice question settles on, and the packaged sample of questions."""

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

_NOT = r"(?!\W{0,3}(?:번)?(?:[이가은는])?\s*아니)"


def sample(**_: object) -> dict[str, Any]:
    """The packaged questions, as lm-eval takes a custom data set: split -> rows."""
    from datasets import Dataset

    text = (files("vllm_quality") / "eval" / "tasks" / "ko_arc_sample.jsonl").read_text(encoding="utf-8")
    return {"test": Dataset.from_list([json.loads(line) for line in text.splitlines()])}


def score(doc: Mapping[str, Any], answers: Sequence[str]) -> dict[str, float]:
    """1 where the answer settles on the right label, else 0."""
    chosen = choose(answers[0], doc["choices"]["label"], doc["choices"]["text"])
    return {"exact_match": float(chosen == doc["answerKey"])}


def choose(answer: str, labels: Sequence[str], texts: Sequence[str]) -> str | None:
    """The label that an answer settles on; None where it settles on none, or on several.

    What it says after "정답" counts first (the last time it says so), then a label that it begins with, then the only label
    in it, then the only choice whose text is in it. Reasoning in <think> does not count; ① and Ａ are 1 and A.
    """
    said = _normal(answer.rpartition("</think>")[2])
    known = {_normal(label): label for label in labels}
    label = "|".join(map(re.escape, sorted(known, key=len, reverse=True)))
    one = rf"(?<![a-z0-9])({label})(?![a-z0-9]){_NOT}"
    settled = re.findall(rf"(?:정답|답안|답|answer)\s*(?:은|는|이|is)?\W{{0,6}}{one}", said)
    settled += re.findall(rf"boxed\{{\W*{one}", said)
    if settled:
        return known[settled[-1]]
    begins = re.match(rf"\W*{one}\s*(?=[.:)\]*'\"]|\n|번|입니다|이다|$)", said)
    if begins:
        return known[begins[1]]
    named = set(re.findall(one, said))
    if len(named) == 1:
        return known[named.pop()]
    written = [label for label, text in zip(labels, texts, strict=True) if _normal(text) in said]
    return written[0] if len(written) == 1 and not named else None


def _normal(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()
