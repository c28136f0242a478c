"""Whatever stands in a file, the answer is a plan or one sentence."""

import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vllm_quality.eval.evals.load import load_plan
from vllm_quality.eval.evals.plan import EvalError
from vllm_quality_tests.eval.evals.eval_files import CRITERIA

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 9), st.sampled_from(["", "x", "{{q}}", "{{", "file://gone.txt"])
)
JUNK = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("qab"), inner), max_leaves=5
)
TYPES = [
    "equals",
    "not-contains",
    "contains-all",
    "is-json",
    "regex",
    "bleu",
    "python",
    "llm-rubric",
    "word-count",
    "cost",
    "assert-set",
]


def loosely(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """An object of these fields, each of which may be missing, or junk."""
    return (
        st.fixed_dictionaries({}, optional={name: st.one_of(field, field, JUNK) for name, field in fields.items()})
        | JUNK
    )


ASSERTION = loosely(
    type=st.sampled_from(TYPES), value=JUNK, threshold=st.just(0.5), weight=st.just(1), metric=st.just("m")
)
TEST = loosely(vars=st.just({"q": "?"}), **{"assert": st.lists(ASSERTION, max_size=3)}, options=JUNK, threshold=JUNK)
PROMPTFOO = st.fixed_dictionaries(
    {"tests": st.lists(TEST, max_size=3) | JUNK},
    optional={"prompts": st.just(["{{q}}"]) | JUNK, "defaultTest": TEST, "providers": JUNK},
)
OPENAI = st.fixed_dictionaries(
    {"testing_criteria": st.lists(st.sampled_from(list(CRITERIA)) | JUNK, max_size=2) | JUNK},
    optional={
        "data_source_config": loosely(type=st.just("custom"), item_schema=JUNK, schema=JUNK),
        "data_source": loosely(
            type=st.sampled_from(["completions", "jsonl", "responses"]),
            source=loosely(type=st.just("file_content"), content=st.lists(loosely(item=st.just({"question": "?", "answer": "!"}) | JUNK, sample=JUNK), max_size=3)),
            input_messages=loosely(type=st.sampled_from(["template", "item_reference"]), template=JUNK, item_reference=JUNK),
            sampling_params=loosely(text=JUNK, response_format=JUNK, temperature=st.just(0)),
        ),
        "runs": JUNK,
        "min_pass": JUNK,
        "data": JUNK,
        "eval": JUNK,
    },
)  # fmt: skip


def read(folder: Path, stored: object, *, skip: bool) -> None:
    path = folder / "any.json"
    path.write_text(json.dumps(stored), encoding="utf-8")
    try:
        load_plan(path, skip_unsupported=skip)
    except EvalError as error:
        said = str(error)
    else:
        said = ""
    assert "\n" not in said


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=200
)
@given(PROMPTFOO, st.booleans())
def test_any_promptfoo_configuration(tmp_path: Path, stored: dict[str, Any], skip: bool) -> None:
    read(tmp_path, stored, skip=skip)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=200
)
@given(OPENAI | JUNK)
def test_any_openai_eval(tmp_path: Path, stored: object) -> None:
    read(tmp_path, stored, skip=False)
