"""The rules as a recogniser of Presidio's, and its registry that holds it: it works in any `AnalyzerEngine`, too.

Here it is run without the engine. It wants a pipeline of tokens and lemmas, which no rule of ours reads and for Korean
there is none, and it compares each finding with every other, which for a text of 100,000 numbers does not end.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from vllm_quality.datasets.pii.rule import Rule, RuleSet

if TYPE_CHECKING:
    from presidio_analyzer import EntityRecognizer, RecognizerRegistry

LANGUAGE = "ko"  # Presidio wants one; the rules hold for Korean and English alike


def build_recogniser(rules: Mapping[str, Sequence[Rule]], version: str) -> "EntityRecognizer":
    """Presidio's recogniser of the kinds that there are rules for."""
    from presidio_analyzer import LocalRecognizer, RecognizerResult

    class RuleRecognizer(LocalRecognizer):  # type: ignore[misc]  # Presidio comes without types
        """Finds what the rules find."""

        def load(self) -> None:
            """Nothing to load."""

        def analyze(self, text: str, entities: Collection[str], nlp_artifacts: object = None) -> list[Any]:  # noqa: ARG002
            """Presidio's results, in no order; they may overlap."""
            return [
                RecognizerResult(rule.kind, start, end, rule.score, recognition_metadata=about)
                for rule, start, end in all_rules.findings(text)
                if rule.kind in entities
            ]

    all_rules = RuleSet(chain.from_iterable(rules.values()))
    made = RuleRecognizer([*rules], name="vllm_quality", supported_language=LANGUAGE, version=version)
    about = {RecognizerResult.RECOGNIZER_NAME_KEY: made.name, RecognizerResult.RECOGNIZER_IDENTIFIER_KEY: made.id}
    return made


def build_registry(rules: Mapping[str, Sequence[Rule]], version: str) -> "RecognizerRegistry":
    """Presidio's registry of the rules and of nothing else."""
    from presidio_analyzer import RecognizerRegistry

    return RecognizerRegistry(recognizers=[build_recogniser(rules, version)], supported_languages=[LANGUAGE])
