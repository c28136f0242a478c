"""A Promptfoo configuration as a plan: each test with each prompt is a row, its assertions are the checks.

What cannot be done is named, all of it in one message; by choice it is left out and noted.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vllm_quality.eval.answers import SEED, Sampling
from vllm_quality.eval.evals.plan import MAX_TOKENS, BadRow, Check, EvalError, Plan, Row
from vllm_quality.eval.evals.promptfoo_assertions import Place, check_of
from vllm_quality.eval.evals.promptfoo_files import UnsupportedError, is_file, path_of, read_value
from vllm_quality.eval.evals.promptfoo_tests import Prompt, listed, mapping, read_prompts, read_tests, variables_of
from vllm_quality.eval.graders.schema import templates_of
from vllm_quality.eval.graders.templates import MissingValueError, look_up, references, render
from vllm_quality.eval.suites import safe_name

_NOT_DONE = {
    "scenarios": "write each combination as a test",
    "extensions": "they are code",
    "nunjucksFilters": "they are code",
}
_NOT_DONE_OPTIONS = {
    "transform": "answers are graded as they are",
    "postprocess": "answers are graded as they are",
    "transformVars": "write the variables themselves",
    "storeOutputAs": "tests do not depend on each other here",
    "factuality": "the passing cases of factuality are fixed here",
}
_MOST_NAMED = 12


def is_promptfoo(stored: Mapping[str, Any]) -> bool:
    """Whether an object is a Promptfoo configuration (and no OpenAI eval)."""
    return "testing_criteria" not in stored and "eval" not in stored and ("tests" in stored or "prompts" in stored)


def plan_promptfoo(stored: Mapping[str, Any], path: Path, name: str, *, skip_unsupported: bool) -> Plan:
    """The plan. Raises `EvalError` that names all that is not possible, unless it is to be skipped."""
    reader = _Reader(path.parent)
    rows, bad = reader.rows(stored)
    left_out = reader.named()
    if left_out and not skip_unsupported:
        raise EvalError(
            f"{path} has what cannot be done here: {'; '.join(left_out)}. Change it, or leave it out with --skip-unsupported."
        )
    if not rows:
        why = f": line {bad[0].line} {bad[0].reason}" if bad else f": {left_out[0]}" if left_out else ""
        raise EvalError(f"{path}: no test with an assertion is left{why}.")
    notes = [f"left out: {what}" for what in left_out]
    if stored.get("providers"):
        notes.append("the release is asked in place of the providers")
    return Plan(name=name, rows=rows, bad_rows=bad, sampling=_sampling(stored.get("providers")), notes=notes)


class _Reader:
    """Goes through a configuration and keeps what it cannot do."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._refused: dict[tuple[str, str], list[str]] = {}

    def rows(self, stored: Mapping[str, Any]) -> tuple[list[Row], list[BadRow]]:
        for name, advice in _NOT_DONE.items():
            if stored.get(name):
                self._refuse(UnsupportedError(name, advice), name)
        prompts = self._prompts(stored)
        default = self._default(stored.get("defaultTest"))
        try:
            tests = read_tests(stored.get("tests"), self._folder) or [{}]
        except UnsupportedError as error:
            self._refuse(error, "tests")
            tests = []
        rows: list[Row] = []
        bad: list[BadRow] = []
        for number, test in enumerate(tests):
            if not isinstance(test, dict):
                self._refuse(
                    UnsupportedError("a test that is no object", "write it with vars and assert"), f"tests[{number}]"
                )
                continue
            for made in self._test(test, default, prompts, number):
                (rows if isinstance(made, Row) else bad).append(made)  # type: ignore[arg-type]
        return rows, bad

    def named(self) -> list[str]:
        """What could not be done: each kind once, with how often and where first."""
        found = []
        for (kind, advice), places in self._refused.items():
            often = f", {len(places)} times" if len(places) > 1 else ""
            found.append(f"{kind} (at {places[0]}{often}): {advice}")
        more = len(found) - _MOST_NAMED
        return [*found[:_MOST_NAMED], f"and {more} kinds more"] if more > 0 else found

    def _refuse(self, error: UnsupportedError, place: str) -> None:
        self._refused.setdefault((error.kind, error.advice), []).append(place)

    def _prompts(self, stored: Mapping[str, Any]) -> list[Prompt]:
        try:
            return read_prompts(stored.get("prompts"), self._folder)
        except UnsupportedError as error:
            self._refuse(error, "prompts")
            return []

    def _default(self, given: Any) -> Mapping[str, Any]:
        try:
            found = read_value(path_of(given, self._folder)) if is_file(given) else given
        except UnsupportedError as error:
            self._refuse(error, "defaultTest")
            return {}
        return found if isinstance(found, dict) else {}

    def _test(
        self, test: Mapping[str, Any], default: Mapping[str, Any], prompts: Sequence[Prompt], number: int
    ) -> list[Row | BadRow]:
        where = f"tests[{number}]"
        options = {**mapping(default.get("options")), **mapping(test.get("options"))}
        for name, advice in _NOT_DONE_OPTIONS.items():
            if options.get(name):
                self._refuse(UnsupportedError(f"options.{name}", advice), where)
        own = listed(test.get("assert"))
        shared = [] if options.get("disableDefaultAsserts") else listed(default.get("assert"))
        checks = self._checks([*shared, *own], Place(self._folder, options.get("rubricPrompt")), where)
        if not checks:
            return []
        try:
            variables = list(variables_of(test, default, self._folder))
        except UnsupportedError as error:
            self._refuse(error, where)
            return []
        threshold = test.get("threshold", default.get("threshold"))
        if threshold is not None and (isinstance(threshold, bool) or not isinstance(threshold, int | float)):
            self._refuse(UnsupportedError("a threshold that is no number", "give a number"), where)
            return []
        return [_row(item, prompt, options, checks, threshold, number + 1) for item in variables for prompt in prompts]

    def _checks(self, assertions: Sequence[Any], place: Place, where: str) -> dict[str, Check]:
        checks: dict[str, Check] = {}
        for number, assertion in enumerate(assertions):
            for at, single in self._flat(assertion, f"{where}.assert[{number}]"):
                try:
                    check = check_of(single, place)
                except UnsupportedError as error:
                    self._refuse(error, at)
                    continue
                wanted = safe_name(str(single.get("metric") or single["type"]))
                name, count = wanted, 1
                while name in checks:
                    count += 1
                    name = f"{wanted}_{count}"
                checks[name] = check
        return checks

    def _flat(self, assertion: Any, where: str) -> list[tuple[str, Mapping[str, Any]]]:
        """An assert-set whose every member must pass is its members."""
        if not isinstance(assertion, dict):
            self._refuse(UnsupportedError("an assertion that is no object", "write it with type and value"), where)
            return []
        if assertion.get("type") != "assert-set":
            return [(where, assertion)]
        if assertion.get("threshold") is not None or assertion.get("weight", 1) != 1:
            self._refuse(UnsupportedError("assert-set with a threshold or weight", "use the test's threshold"), where)
            return []
        members = listed(assertion.get("assert"))
        return [
            flat for number, member in enumerate(members) for flat in self._flat(member, f"{where}.assert[{number}]")
        ]


def _row(
    item: Mapping[str, Any],
    prompt: Prompt,
    options: Mapping[str, Any],
    checks: Mapping[str, Check],
    threshold: float | None,
    line: int,
) -> Row | BadRow:
    values = {"item": item}
    try:
        messages = [{**message, "content": render(message["content"], values)} for message in prompt.messages]
        for check in checks.values():
            for template in templates_of(check.grader):
                for reference in references(template):
                    if reference.namespace == "item":
                        look_up(reference, values)
    except (MissingValueError, ValueError) as error:
        return BadRow(line, f"cannot be used: {error}")
    before, after = str(options.get("prefix") or ""), str(options.get("suffix") or "")
    messages[-1] = {**messages[-1], "content": f"{before}{messages[-1]['content']}{after}"}
    return Row(item, None, messages, line, checks, threshold)


def _sampling(providers: Any) -> Sampling:
    """How the first provider is asked, as far as a release can be asked so."""
    first = providers[0] if isinstance(providers, list) and providers else providers
    config = first.get("config") if isinstance(first, dict) else None
    config = config if isinstance(config, dict) else {}
    tokens = config.get("max_completion_tokens", config.get("max_tokens", config.get("max_output_tokens")))
    extra = {
        name: config[name] for name in ("top_p", "response_format") if isinstance(config.get(name), float | int | dict)
    }
    seed = config.get("seed")
    return Sampling(
        tokens if isinstance(tokens, int) and tokens > 0 else MAX_TOKENS,
        temperature=float(config["temperature"]) if isinstance(config.get("temperature"), int | float) else 0.0,
        seed=seed if isinstance(seed, int) else SEED,
        extra=extra,
    )
