"""Exact duplicates: the same question with the same expected answer, in one set or in several."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vllm_quality.datasets.schema import Item


@dataclass(frozen=True)
class Deduplicated:
    """What is left and what was removed.

    within   data set -> items removed because the same set holds them already
    across   (data set, the set that keeps it) -> items removed because another set holds them
    """

    kept: tuple[Item, ...]
    within: Mapping[str, int]
    across: Mapping[tuple[str, str], int]

    def removed_from(self, dataset: str) -> int:
        """How many items of a data set were removed."""
        across = sum(count for (name, _), count in self.across.items() if name == dataset)
        return self.within.get(dataset, 0) + across


def remove_exact_duplicates(items: Iterable[Item], priority: Mapping[str, int]) -> Deduplicated:
    """Keep one of the items with equal `content_hash`: that of the set with the highest priority, then the first by name.

    Within a set the one whose exact form sorts first stays. So the outcome does not depend on the order of the items.
    """
    kept: dict[str, Item] = {}
    within: Counter[str] = Counter()
    across: Counter[tuple[str, str]] = Counter()
    for item in sorted(items, key=lambda item: (-priority.get(item.dataset, 0), item.dataset, _tie(item))):
        first = kept.setdefault(item.content_hash, item)
        if first is item:
            continue
        if first.dataset == item.dataset:
            within[item.dataset] += 1
        else:
            across[item.dataset, first.dataset] += 1
    return Deduplicated(tuple(kept.values()), dict(within), dict(across))


def _tie(item: Item) -> tuple[str, str, int]:
    return item.exact_form, item.source_file, item.source_line
