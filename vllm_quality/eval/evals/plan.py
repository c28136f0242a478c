"""An eval made ready to run, whatever it was written in: rows with their prompts and their checks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vllm_quality.errors import UserError
from vllm_quality.eval.answers import Sampling
from vllm_quality.eval.graders.schema import Grader, needs_embeddings, needs_judge, runs_python
from vllm_quality.eval.suites import Bounds

MAX_TOKENS = 1024  # of an answer, where the eval does not say


class EvalError(UserError):
    """An eval, or its data, cannot be used."""


@dataclass(frozen=True)
class Check:
    """A criterion as it holds for one row.

    inverted  passes where the grader does not (Promptfoo's `not-…`)
    weight    in the row's own score, where it has a threshold for that
    """

    grader: Grader
    inverted: bool = False
    weight: float = 1.0


@dataclass(frozen=True)
class Row:
    """One row of the data.

    sample     the answer that is already there (`output_text`, …); None: the release is asked
    messages   what it is asked; None where there is a sample
    line       where it came from, counted from 1
    checks     criterion -> how it holds here
    threshold  the weighted mean of its checks' scores that makes it pass; None: all checks must pass
    """

    item: Mapping[str, Any]
    sample: Mapping[str, Any] | None
    messages: Sequence[Mapping[str, str]] | None
    line: int
    checks: Mapping[str, Check]
    threshold: float | None = None


@dataclass(frozen=True)
class BadRow:
    """A row that is left out, and why."""

    line: int
    reason: str


@dataclass(frozen=True)
class Plan:
    """An eval, ready.

    name       in the form that metric paths take
    min_pass   criterion -> the least pass ratio (mean score where nothing passes or fails) that is all right; "*" is any
    notes      what is done in another way than where the eval comes from
    bounds     how long asking may take (and again grading), how many rows are asked once more alone
    """

    name: str
    rows: Sequence[Row]
    bad_rows: Sequence[BadRow] = ()
    sampling: Sampling = field(default_factory=lambda: Sampling(MAX_TOKENS))
    min_pass: Mapping[str, float] = field(default_factory=dict)
    notes: Sequence[str] = ()
    bounds: Bounds = field(default_factory=Bounds)

    @property
    def criteria(self) -> list[str]:
        """The names of all criteria, in the order of their first row."""
        return list(dict.fromkeys(name for row in self.rows for name in row.checks))

    @property
    def graders(self) -> list[Grader]:
        """Every grader, each once."""
        return list({id(check.grader): check.grader for row in self.rows for check in row.checks.values()}.values())

    @property
    def greedy(self) -> bool:
        """Whether the same question should get the same answer."""
        return self.sampling.temperature == 0

    @property
    def asks_release(self) -> bool:
        """Whether any row needs an answer."""
        return any(row.sample is None for row in self.rows)

    @property
    def needs(self) -> list[str]:
        """What has to be there: "endpoint", "judge", "embeddings", "sandbox"."""
        graders = self.graders
        return [
            name
            for name, needed in (
                ("endpoint", self.asks_release),
                ("judge", any(map(needs_judge, graders))),
                ("embeddings", any(map(needs_embeddings, graders))),
                ("sandbox", any(map(runs_python, graders))),
            )
            if needed
        ]
