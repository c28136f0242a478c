"""What a set's rows are, counted: how many, how many of no use and why, and what the first of them ask."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.text import Text

from vllm_quality.datasets.progress import Progress
from vllm_quality.datasets.rows import BadRow
from vllm_quality.datasets.schema import Item

_EVERY, _MOST_REASONS = 500, 10


@dataclass
class Tally:
    """Rows that were read. first: some items as they are, not anonymised; examples: a bad row of each reason."""

    rows: int = 0
    first: list[Item] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    examples: dict[str, BadRow] = field(default_factory=dict)

    @property
    def items(self) -> int:
        """Rows that can be used."""
        return self.rows - self.reasons.total()

    def add_bad(self, row: BadRow) -> None:
        """Count a row that cannot be used."""
        self.reasons[row.why] += 1
        self.examples.setdefault(row.why, row)


def tally(rows: Iterable[Item | BadRow], name: str, progress: Progress, keep: int = 0) -> Tally:
    """Read all rows; keep the first items."""
    found = Tally()
    for row in rows:
        found.rows += 1
        if isinstance(row, BadRow):
            found.add_bad(row)
        elif len(found.first) < keep:
            found.first.append(row)
        if found.rows % _EVERY == 0:
            progress(f"reading {name}", found.rows, 0)
    return found


def tally_bad(rows: Sequence[BadRow]) -> Tally:
    """Rows that cannot be used, by reason."""
    found = Tally(rows=len(rows))
    for row in rows:
        found.add_bad(row)
    return found


def print_reasons(found: Tally, console: Console) -> None:
    """Why rows cannot be used, the commonest reasons first, each with the place of an example."""
    for why, count in sorted(found.reasons.items(), key=lambda pair: (-pair[1], pair[0]))[:_MOST_REASONS]:
        example = found.examples[why]
        text = f"  {count:,} × {why}, such as {example.file} row {example.line}"
        console.print(Text(text, "yellow"), soft_wrap=True)
