"""What Presidio's own engine needs to run without a model of a language."""

from typing import Any

from presidio_analyzer.nlp_engine import NlpArtifacts, NlpEngine  # noqa: TID253  # imported by who needs it


class BlankNlpEngine(NlpEngine):  # type: ignore[misc]  # Presidio comes without types
    """No tokens, no lemmas, no entities."""

    def load(self) -> None:
        """Nothing to load."""

    def is_loaded(self) -> bool:
        return True

    def process_text(self, text: str, language: str) -> Any:
        return NlpArtifacts([], [], [], [], None, language)

    def process_batch(self, texts: Any, language: str, **_: Any) -> Any:
        return ((text, self.process_text(text, language)) for text in texts)

    def is_stopword(self, word: str, language: str) -> bool:
        return False

    def is_punct(self, word: str, language: str) -> bool:
        return False

    def get_supported_entities(self) -> list[str]:
        return []

    def get_supported_languages(self) -> list[str]:
        return ["ko", "en"]
