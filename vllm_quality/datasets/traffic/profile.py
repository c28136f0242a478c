"""What a collection of queries looks like from afar: how long they are, in which languages, after how many turns."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from vllm_quality.datasets.schema import Item
from vllm_quality.datasets.traffic.language import language_of


@dataclass(frozen=True)
class Profile:
    """The distributions that drift is judged by, over all items.

    lengths    code points of the user's last word, unsorted
    turns      user messages of each conversation
    languages  language -> items
    """

    lengths: Sequence[int]
    turns: Sequence[int]
    languages: Mapping[str, int]

    @property
    def count(self) -> int:
        """How many items."""
        return len(self.lengths)


def profile_of(items: Iterable[Item]) -> Profile:
    """The profile of the items, which are read once, one at a time."""
    lengths, turns, languages = list[int](), list[int](), Counter[str]()
    for item in items:
        lengths.append(len(item.input))
        turns.append(sum(message.role == "user" for message in item.messages))
        languages[language_of(item.input)] += 1
    return Profile(lengths, turns, dict(sorted(languages.items())))
