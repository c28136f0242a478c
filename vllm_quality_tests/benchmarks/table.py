"""The benchmark's table, as it stands in the README."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One client: CPU per chunk, and its error in TTFT; None where it is not known."""

    name: str
    cpu_us: float
    error_mean_ms: float | None
    error_p99_ms: float | None


def markdown(rows: Sequence[Row]) -> str:
    """A Markdown table; ratios are to the first row."""
    head = ["client", "CPU µs/chunk", "ratio", "TTFT error, mean ms", "TTFT error, p99 ms"]
    lines = [f"| {' | '.join(head)} |", "|---|---:|---:|---:|---:|"]
    for row in rows:
        cells = [
            row.name,
            f"{row.cpu_us:.1f}",
            f"{row.cpu_us / rows[0].cpu_us:.1f}",
            *map(_ms, (row.error_mean_ms, row.error_p99_ms)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
