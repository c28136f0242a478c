"""Texts without what tells whom they are about, and what was found in them."""

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pydantic import SecretStr

from vllm_quality.datasets.pii.folding import fold
from vllm_quality.datasets.pii.kinds import KINDS, Found
from vllm_quality.datasets.pii.overlaps import Candidate, beside, without_overlaps
from vllm_quality.datasets.pii.pseudonyms import Pseudonyms
from vllm_quality.datasets.pii.recognisers import LANGUAGE, build_registry
from vllm_quality.datasets.pii.rules import RULES, VERSION
from vllm_quality.datasets.pii.skeleton import PLACEHOLDER
from vllm_quality.datasets.pii.walk import walk
from vllm_quality.datasets.schema import Item, Message

if TYPE_CHECKING:
    from presidio_analyzer import EntityRecognizer

CANNOT_FIND = (
    "Rules find what has a shape, a check digit or a word beside it that tells. They don't find postal addresses, names "
    "without an honorific or a label beside them, health, opinions, nor whom a description fits."
)


_SHORT = 64  # characters of a value that its field's name may tell of


@dataclass(frozen=True)
class _Edit:
    """A finding in the original text and what stands there now."""

    found: Found
    text: str


class Anonymiser:
    """Replaces findings, equal ones equally; what it wrote is left as it is."""

    def __init__(
        self, recognisers: Iterable["EntityRecognizer"], pseudonyms: Pseudonyms, about: Mapping[str, str]
    ) -> None:
        self._recognisers, self._pseudonyms, self.about = tuple(recognisers), pseudonyms, about

    def text(self, text: str) -> tuple[str, tuple[Found, ...]]:
        """The text with all findings replaced, and where in the text that was given they were, in its order.

        What is replaced may lay bare something else, such as the rest of a longer number: so it is searched until there is
        nothing more. Each round replaces a letter or digit at least, which ends it.
        """
        edits: list[_Edit] = []
        written = text
        while found := self._find(written):
            edits = self._merged(text, edits, found)
            written = _rewritten(text, edits)
        return written, tuple(edit.found for edit in edits)

    def field(self, name: str, text: str) -> tuple[str, tuple[Found, ...]]:
        """As `text`, for the value of a field whose name tells what a short one is: {"계좌번호": "110-000-123456"}."""
        label = f"{name}: "
        if name and len(text) <= _SHORT:
            written, found = self.text(label + text)
            if written.startswith(label) and all(place.start >= len(label) for place in found):
                shifted = (Found(place.kind, place.start - len(label), place.end - len(label)) for place in found)
                return written[len(label) :], tuple(shifted)
        return self.text(text)

    def item(self, item: Item) -> tuple[Item, Mapping[str, int]]:
        """The item with its messages, reference, choices and the strings of its metadata anonymised; findings by kind."""
        counts: Counter[str] = Counter()

        def clean(text: str, name: str = "", _path: str = "") -> str:
            written, found = self.field(name, text)
            counts.update(place.kind for place in found)
            return written

        made = replace(
            item,
            messages=tuple(Message(message.role, clean(message.content)) for message in item.messages),
            reference=None if item.reference is None else clean(item.reference),
            choices=tuple(clean(choice) for choice in item.choices),
            metadata=json.dumps(walk(json.loads(item.metadata), clean), ensure_ascii=False, sort_keys=True),
        )
        return made, dict(sorted(counts.items()))

    def _find(self, text: str) -> list[Found]:
        """Findings that don't overlap, in the text's order; none within what was replaced before."""
        folded = fold(text)
        candidates = [
            Candidate(result.entity_type, result.start, result.end, result.score)
            for recogniser in self._recognisers
            for result in recogniser.analyze(folded, KINDS, None)
        ]
        if candidates and "<" in text:
            replaced = [match.span() for match in PLACEHOLDER.finditer(text)]
            candidates = [wider for one in candidates if (wider := beside(one, text, replaced)) is not None]
        return without_overlaps(candidates)

    def _merged(self, text: str, edits: list[_Edit], found: list[Found]) -> list[_Edit]:
        """The edits with new findings, which are places in what the edits made of the text; a wider one takes in others."""
        ends, shifts, shift = [0], [0], 0
        for edit in edits:
            shift += len(edit.text) - (edit.found.end - edit.found.start)
            ends.append(edit.found.end + shift)
            shifts.append(shift)
        merged = {edit.found.start: edit for edit in edits}
        for place in found:
            before, within = bisect_right(ends, place.start), bisect_right(ends, place.end)
            start, end = place.start - shifts[before - 1], place.end - shifts[within - 1]
            for edit in edits[before - 1 : within - 1]:
                merged.pop(edit.found.start)
            merged[start] = _Edit(
                Found(place.kind, start, end), self._pseudonyms.replacement(place.kind, text[start:end])
            )
        return [merged[start] for start in sorted(merged)]


def build_anonymiser(key: SecretStr | None, dataset: str) -> Anonymiser:
    """The anonymiser of a data set; without a key it writes `<PHONE>` for every phone number."""
    from importlib.metadata import version

    registry = build_registry(RULES, VERSION)
    pseudonyms = Pseudonyms(key, dataset)
    about = {
        "rules": f"vllm_quality {VERSION}, presidio-analyzer {version('presidio-analyzer')}",
        "replaced_by": "redaction" if key is None else "pseudonyms",
        "key_fingerprint": pseudonyms.fingerprint or "",
        "looked_for": ", ".join(RULES),
        "not_found_by_rules": CANNOT_FIND,
    }
    return Anonymiser(registry.get_recognizers(LANGUAGE, all_fields=True), pseudonyms, about)


def _rewritten(text: str, edits: list[_Edit]) -> str:
    parts, at = [], 0
    for edit in edits:
        parts += [text[at : edit.found.start], edit.text]
        at = edit.found.end
    return "".join([*parts, text[at:]])
