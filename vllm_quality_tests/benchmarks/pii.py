"""What do rules find of what is labelled, and what else do they take for it? Ours beside Presidio's own, in one run.

    python -m vllm_quality_tests.benchmarks.pii

The sentences are those of `datasets/pii/`: "tuned" is the half that our rules were made with, "held out" was written before
them and not looked at meanwhile; both are by one author, whose idea of the task our rules share. A label counts as found when
findings cover it, whatever kind they are of, so that a whole URL stands for the token in it; "exact" wants kind and place.
False are findings that touch no label, of kinds that ours know, too: Presidio's URLs, dates and the like aren't counted.

Presidio runs without a model of a language, as ours does, so names are beyond it. "With Korea" are its recognisers for Korea
and all its defaults, registered for Korean, and phone numbers of Korea. Times are CPU.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import cycle
from typing import Any

from vllm_quality.datasets.pii.anonymiser import build_anonymiser
from vllm_quality.datasets.pii.kinds import KINDS, Found
from vllm_quality.load.data.conversations import SAMPLE_CONVERSATIONS, read_conversations
from vllm_quality_tests.datasets.pii.labelled import SPLITS, Sentence, read_sentences

Finder = Callable[[str], Iterable[Found]]

_OURS = {
    "PHONE_NUMBER": "PHONE", "EMAIL_ADDRESS": "EMAIL", "CREDIT_CARD": "CARD", "IP_ADDRESS": "IP", "IBAN_CODE": "IBAN",
    "US_SSN": "SSN", "US_ITIN": "SSN", "US_BANK_NUMBER": "BANK_ACCOUNT", "US_PASSPORT": "PASSPORT", "KR_PASSPORT": "PASSPORT",
    "US_DRIVER_LICENSE": "DRIVER_LICENCE", "KR_DRIVER_LICENSE": "DRIVER_LICENCE", "KR_RRN": "RRN", "KR_FRN": "FRN",
    "KR_BRN": "BRN",
}  # fmt: skip
_LENGTH, _TEXTS = 400, 200


def _ours() -> Finder:
    anonymiser = build_anonymiser(None, "benchmark")
    return lambda text: anonymiser.text(text)[1]


def _presidio(*, korea: bool) -> Finder:
    import tldextract
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry

    from vllm_quality_tests.datasets.pii.engines import BlankNlpEngine

    # Its recogniser of e-mail addresses would fetch the list of top-level domains.
    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    language = "ko" if korea else "en"
    registry = RecognizerRegistry(supported_languages=[language])
    registry.load_predefined_recognizers(languages=["en"])
    if korea:
        registry.recognizers = _for_korea(registry.recognizers)
    engine = AnalyzerEngine(registry=registry, nlp_engine=BlankNlpEngine(), supported_languages=[language])

    def find(text: str) -> Iterable[Found]:
        results = engine.analyze(text, language=language)
        return [Found(_OURS.get(one.entity_type, one.entity_type), one.start, one.end) for one in results]

    return find


def _for_korea(defaults: Iterable[Any]) -> list[Any]:
    import presidio_analyzer.predefined_recognizers as known

    regions = (*known.PhoneRecognizer.DEFAULT_SUPPORTED_REGIONS, "KR")
    made = [known.PhoneRecognizer(supported_language="ko", supported_regions=regions)]
    made += [type(one)(supported_language="ko") for one in defaults if not isinstance(one, known.PhoneRecognizer)]
    korean = ("KrRrn", "KrFrn", "KrBrn", "KrPassport", "KrDriverLicense")
    return made + [getattr(known, f"{name}Recognizer")(supported_language="ko") for name in korean]


def _counts(find: Finder, sentences: Sequence[Sentence]) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Labels that are covered, labels found exactly, and false findings, by kind."""
    covered, exact, false = Counter[str](), Counter[str](), Counter[str]()
    for sentence in sentences:
        found = list(find(sentence.text))
        reached = {at for place in found for at in range(place.start, place.end)}
        labelled = {at for label in sentence.labels for at in range(label.start, label.end)}
        for label in sentence.labels:
            covered[label.kind] += reached.issuperset(range(label.start, label.end))
            exact[label.kind] += label in found
        false.update(
            place.kind for place in found if place.kind in KINDS and labelled.isdisjoint(range(place.start, place.end))
        )
    return covered, exact, false


def _prose() -> list[str]:
    """Texts of 400 characters from the packaged conversations, each with a sentence in it that has something to be found."""
    said = " ".join(
        message.content
        for conversation in read_conversations(SAMPLE_CONVERSATIONS).conversations
        for message in conversation.turns[-1].messages
    )
    labelled = [sentence.text for split in SPLITS for sentence in read_sentences(split) if sentence.labels]
    texts = []
    for number, sentence in zip(range(_TEXTS), cycle(labelled), strict=False):
        start = number * 211 % (len(said) - _LENGTH)
        texts.append(f"{said[start : start + max(0, _LENGTH - len(sentence))]} {sentence}")
    return texts


def _sentences() -> list[str]:
    """Texts of 400 characters from the labelled sentences, with ten things to be found, or numbers that are nothing."""
    everything = "\n".join(sentence.text for split in SPLITS for sentence in read_sentences(split))
    starts = (number * 97 % (len(everything) - _LENGTH) for number in range(_TEXTS))
    return [everything[start : start + _LENGTH] for start in starts]


def _cpu_ms(find: Finder, texts: Sequence[str]) -> float:
    """CPU time of one text, when what is loaded at first use was loaded."""
    for text in texts:
        find(text)
    start = time.process_time()
    for text in texts:
        find(text)
    return (time.process_time() - start) * 1000 / len(texts)


def _table(finders: dict[str, Finder], split: str) -> str:
    sentences = read_sentences(split)
    labelled = Counter(label.kind for sentence in sentences for label in sentence.labels)
    counted = {name: _counts(find, sentences) for name, find in finders.items()}
    head = ["kind", "labelled", "ours, exact", *finders, *(f"{name}, false" for name in finders)]
    lines = [f"| {' | '.join(head)} |", f"|---{'|---:' * (len(head) - 1)}|"]
    for kind in [*KINDS, "all"]:
        of = KINDS if kind == "all" else (kind,)
        count = sum(labelled[one] for one in of)
        exact = sum(counted["ours"][1][one] for one in of)
        covered = [f"{sum(counts[0][one] for one in of) / count:.1%}" for counts in counted.values()]
        false = [str(sum(counts[2][one] for one in of)) for counts in counted.values()]
        lines.append(f"| {' | '.join([kind, str(count), f'{exact / count:.1%}', *covered, *false])} |")
    none = sum(not sentence.labels for sentence in sentences)
    return f"{split.replace('_', ' ')}: {len(sentences)} sentences, {none} of them without a label\n\n" + "\n".join(
        lines
    )


def main() -> None:
    """Print a table for each half, and what a text costs."""
    finders = {"ours": _ours(), "Presidio": _presidio(korea=False), "Presidio with Korea": _presidio(korea=True)}
    for split in SPLITS:
        print(_table(finders, split), end="\n\n")
    print("| CPU ms per text of 400 characters | prose with one finding | ratio | the sentences above | ratio |")
    print("|---|---:|---:|---:|---:|")
    first: list[float] = []
    for name, find in finders.items():
        times = [_cpu_ms(find, texts) for texts in (_prose(), _sentences())]
        first = first or times
        cells = (f"{ms:.2f} | {ms / least:.1f}" for ms, least in zip(times, first, strict=True))
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
