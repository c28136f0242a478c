"""`vllm-quality evals import`: what a person sees of it, and the exit code."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vllm_quality.eval.evals.openai_agreement import Agreement
from vllm_quality.eval.evals.openai_import import Imported, import_evals


def import_command(paths: Sequence[Path], out: Path, console: Console) -> int:
    """Carry evals over and tell what became of them. 0: every eval has a file; 2: one has none. Raises `EvalError`."""
    found, of_all = import_evals(paths, out)
    console.print(import_table(found))
    for entry in found:
        for note in entry.notes:
            console.print(Text(f"{entry.title}: {note}.", "yellow" if entry.path else "red"))
    for note in of_all:
        console.print(Text(f"Note: {note}.", "yellow"))
    carried = sum(entry.path is not None for entry in found)
    console.print(Text(f"{carried} of {len(found)} evals are in {out}.", "bold"))
    return 0 if carried == len(found) else 2


def import_table(found: Sequence[Imported]) -> Table:
    """A line per eval: rows, criteria, how far our graders say what OpenAI's said, file."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("eval", "rows", "criteria", "as OpenAI graded", "file"):
        table.add_column(heading, overflow="fold", justify="right" if heading == "rows" else "left")
    for entry in found:
        name = entry.path.name if entry.path else "none"
        table.add_row(entry.title, str(entry.rows), ", ".join(entry.criteria) or "–", _told(entry.agreement), name)
    return table


def _told(agreement: Mapping[str, Agreement]) -> str:
    return "; ".join(f"{name} {found.agreed} of {found.compared}" for name, found in agreement.items()) or "–"
