"""Answers that got worse, as a card shows them: a few, of all suites, and without personal data."""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cache

import polars as pl
from pydantic import SecretStr

from vllm_quality.alerts.notice import FlippedAnswer
from vllm_quality.results.run_folder import RunFolder
from vllm_quality.verdict.types import FlippedItem, Verdict

_MOST = 5
_LONGEST_TEXT = 4000  # characters of a text that are looked through; a card shows a few of them


def flipped_answers(folder: RunFolder, verdict: Verdict, key: SecretStr | None) -> tuple[FlippedAnswer, ...]:
    """The items that lost most, those of metrics that are worse before others; each item once. Raises `ObjectsError`.

    key  of the pseudonyms that personal data is replaced by; it is redacted without one
    """
    worse = {finding.metric for finding in verdict.findings if finding.status == "worse"}
    texts = _Texts(folder, verdict.baseline_runs)
    return tuple(_answer(flip, texts, key) for flip in _in_turn(verdict.flipped, worse)[:_MOST])


def _in_turn(flips: Iterable[FlippedItem], worse: Collection[str]) -> list[FlippedItem]:
    """The worst of each metric, then the second of each, and so on."""
    place: Counter[str] = Counter()
    ranked: list[tuple[bool, int, FlippedItem]] = []
    for flip in flips:
        ranked.append((flip.metric not in worse, place[flip.metric], flip))
        place[flip.metric] += 1
    chosen: dict[tuple[str, str], FlippedItem] = {}
    for *_, flip in sorted(ranked, key=lambda each: each[:2]):
        chosen.setdefault((_step(flip), flip.item), flip)
    return list(chosen.values())


def _step(flip: FlippedItem) -> str:
    return flip.metric.rpartition("/")[0]


class _Texts:
    """What was asked and answered in a run, and in the newest of its baseline's that is comparable; each read once."""

    def __init__(self, folder: RunFolder, baseline_runs: Sequence[str]) -> None:
        self._folder = folder
        self._earlier = [RunFolder(folder.objects, run_id) for run_id in baseline_runs]
        self._frames: dict[tuple[str, str], pl.DataFrame | None] = {}

    def now(self, step: str, item: str) -> dict[str, str | None]:
        """Prompt, expected and answer of an item; empty where they were not kept."""
        return self._row(self._folder, step, item)

    def before(self, step: str, item: str) -> dict[str, str | None]:
        """The same of the baseline."""
        own = self._folder.get_measurement(step)
        for folder in self._earlier if own is not None else ():
            then = folder.get_measurement(step)
            if then is not None and own is not None and then.comparable == own.comparable:
                return self._row(folder, step, item)
        return {}

    def _row(self, folder: RunFolder, step: str, item: str) -> dict[str, str | None]:
        if (folder.run_id, step) not in self._frames:
            self._frames[folder.run_id, step] = _texts_of(folder, step)
        frame = self._frames[folder.run_id, step]
        if frame is None:
            return {}
        # An item that was asked once more alone has a suite of its own.
        own = frame.filter((pl.col("item_hash") == item) & (pl.col("suite") == step.partition("/")[2])).head(1)
        return own.row(0, named=True) if own.height else {}


def _texts_of(folder: RunFolder, step: str) -> pl.DataFrame | None:
    measurement = folder.get_measurement(step)
    name = measurement.files.get("texts") if measurement else None
    return folder.get_frame(name) if name and folder.objects.exists(name) else None


def _answer(flip: FlippedItem, texts: _Texts, key: SecretStr | None) -> FlippedAnswer:
    step = _step(flip)
    suite = step.partition("/")[2]
    now, then = texts.now(step, flip.item), texts.before(step, flip.item)
    if now.get("prompt") != then.get("prompt"):
        then = {}  # two answers to one question, or none
    clean = _cleaner(suite, key) if now else None

    def shown(words: str | None) -> str | None:
        return clean(words) if clean is not None and words is not None else None

    return FlippedAnswer(
        suite=suite,
        item=flip.item,
        before=flip.baseline,
        now=flip.current,
        prompt=shown(_question(now.get("prompt"))),
        expected=shown(now.get("expected")),
        answer_before=shown(then.get("answer")),
        answer=shown(now.get("answer")),
    )


def _question(prompt: str | None) -> str | None:
    """What was asked last, where the prompt is a conversation in JSON."""
    try:
        messages = json.loads(prompt or "")
        return str([message["content"] for message in messages if message["role"] == "user"][-1])
    except (ValueError, TypeError, KeyError, IndexError):
        return prompt


@cache
def _cleaner(suite: str, key: SecretStr | None) -> Callable[[str], str]:
    """Texts without personal data. A card cuts them only afterwards: half a number would not be found."""
    from vllm_quality.datasets.pii.anonymiser import build_anonymiser

    anonymiser = build_anonymiser(key, suite)

    def clean(words: str) -> str:
        return anonymiser.text(words[:_LONGEST_TEXT])[0]

    return clean
