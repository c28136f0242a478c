"""What a rule is: a pattern, and what must hold around and within its match for it to be a finding."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

# A number ends where neither a digit follows nor a separator and a digit; it begins alike. Python's \b will not do: Hangul
# is \w, so that no boundary is between a number and the particle behind it.
STARTS = r"(?<![0-9A-Za-z_])(?<![0-9][-.])"
ENDS = r"(?![0-9A-Za-z_]|[-.][0-9])"

STRONG = 0.95  # a shape or check digit of its own
LIKELY = 0.7  # a usual shape
WEAK = 0.4  # a shape that only the words around it tell


@dataclass(frozen=True)
class Around:
    """Only so many characters around a pattern's matches are searched: few texts are made of numbers."""

    pattern: re.Pattern[str]
    margin: int


# Seven digits with at most a few separators between, or masks in their place: what a number of ours has within it. What
# there may be of it before and behind is less than the margin.
NUMBER = Around(re.compile(r"[0-9](?:[-. ()/]{0,3}[0-9*xX#]){6}"), margin=32)

Hint = str | re.Pattern[str] | Around
_Spans = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Near:
    """Words that must stand before a match, within so many characters, or behind it; `behind` right there."""

    words: re.Pattern[str]
    before: int = 40
    after: int = 0
    behind: re.Pattern[str] | None = None

    def holds(self, text: str, start: int, end: int) -> bool:
        """Whether one of the words is there."""
        if self.words.search(text, max(0, start - self.before), start):
            return True
        if self.after and self.words.search(text, end, end + self.after):
            return True
        return self.behind is not None and self.behind.match(text, end) is not None


@dataclass(frozen=True)
class Rule:
    """One way to tell a kind.

    pattern  its group "value" is what is found; the whole match, where it has none
    score    how specific it is, above 0 and up to 1: of findings that overlap the highest stays
    hint     what the pattern cannot match without, and quicker to look for: a text without it is not searched
    check    whether the value can be one, such as by its check digit
    near     words that must be around
    unless   what must not stand right before the match
    """

    kind: str
    pattern: re.Pattern[str]
    score: float
    hint: Hint
    check: Callable[[str], bool] | None = None
    near: Near | None = None
    unless: re.Pattern[str] | None = None

    def findings(self, text: str, spans: _Spans) -> Iterator[tuple[int, int]]:
        """Where in parts of a text (folded, see `folding`) the values are."""
        group = "value" if "value" in self.pattern.groupindex else 0
        for match in chain.from_iterable(self.pattern.finditer(text, *span) for span in spans):
            start, end = match.span(group)
            if self.unless is not None and self.unless.search(text, max(0, match.start() - 24), match.start()):
                continue
            if self.near is not None and not self.near.holds(text, match.start(), match.end()):
                continue
            if self.check is None or self.check(text[start:end]):
                yield start, end


class RuleSet:
    """Rules, each hint of which is looked for once, however many rules have it."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        # By identity: to hash a pattern takes longer than to search a text for it.
        groups: dict[int | str, tuple[Hint, list[Rule]]] = {}
        for rule in rules:
            key = rule.hint if isinstance(rule.hint, str) else id(rule.hint)
            groups.setdefault(key, (rule.hint, []))[1].append(rule)
        self._groups = tuple((hint, tuple(of_hint)) for hint, of_hint in groups.values())

    def findings(self, text: str) -> Iterator[tuple[Rule, int, int]]:
        """What the rules find in a text (folded), in no order; findings may overlap."""
        for hint, rules in self._groups:
            if spans := _spans(hint, text):
                for rule in rules:
                    for start, end in rule.findings(text, spans):
                        yield rule, start, end


def _spans(hint: Hint, text: str) -> _Spans:
    """The parts of a text that are worth a search."""
    if isinstance(hint, Around):
        merged: list[tuple[int, int]] = []
        for match in hint.pattern.finditer(text):
            start, end = max(0, match.start() - hint.margin), min(len(text), match.end() + hint.margin)
            if merged and start <= merged[-1][1]:
                start = merged.pop()[0]
            merged.append((start, end))
        return merged
    held = hint in text if isinstance(hint, str) else hint.search(text) is not None
    return [(0, len(text))] if held else []
