"""summary.json keeps its documented shape, adds up, and holds nothing that JSON or a reader must not see."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import vllm_quality.load.output.summary as module
from vllm_quality.load.output.summary import error_table, summary, without_credentials
from vllm_quality.load.result import LoadResult
from vllm_quality_tests.load.output.results import PROBLEM, capacity, endpoint, load_result

SCHEMA = json.loads(Path(module.__file__).with_name("summary.schema.json").read_text(encoding="utf-8"))


def validate(value: object) -> None:
    import jsonschema

    jsonschema.validate(value, SCHEMA)


def written(result: LoadResult) -> dict[str, Any]:
    """As it is read back: `allow_nan=False` fails on a number that JSON does not have."""
    told: dict[str, Any] = json.loads(json.dumps(summary(result), allow_nan=False))
    return told


@pytest.mark.parametrize(
    "result",
    [
        load_result(),
        load_result([{"type": "constant", "rate": 20, "duration_s": 5}], requests=100, capacity=capacity()),
        load_result(problem=PROBLEM, interrupted=True, calibration=None),
        load_result(stages=None, requests=1),
    ],
    ids=["ladder", "open loop and capacity", "problem", "one request each"],
)
def test_it_is_what_the_schema_says(result: LoadResult) -> None:
    validate(written(result))


def test_a_run_without_a_stage_is_one_too() -> None:
    result = load_result()
    validate(written(replace(result, stages=(), requests=result.requests.clear(), plateau=None)))


def test_every_stage_adds_up() -> None:
    for stage in written(load_result())["stages"]:
        requests = stage["requests"]
        assert requests["sent"] == requests["ok"] + requests["failed"]
        assert requests["failed"] == sum(requests["by_class"].values()) > 0
        assert sum(requests["by_status"].values()) == requests["by_class"]["http_error"]
        steady = stage["steady"]
        assert steady["requests"]["failed"] == sum(steady["requests"]["by_class"].values())
        assert steady["window"]["start_s"] > stage["window"]["start_s"]


def test_an_open_histogram_bucket_is_null_not_infinity() -> None:
    (stage, *_) = written(load_result())["stages"]
    assert stage["server"]["ttft_buckets"][-1]["le_s"] is None


def test_a_client_that_was_the_bottleneck_is_marked() -> None:
    told = written(load_result(problem=PROBLEM))
    assert (told["trusted"], told["client_bound"], told["problem"]) == (False, True, PROBLEM)
    told = written(load_result())
    assert (told["trusted"], told["client_bound"]) == (True, False)
    assert not written(load_result(interrupted=True))["trusted"]


def test_no_password_of_an_address_is_written() -> None:
    secret = replace(endpoint(), base_url="https://ann:hunter2@host:8443/vllm?key=hunter2")
    told = written(load_result(endpoint=secret))
    assert told["endpoint"]["base_url"] == "https://host:8443/vllm"
    assert "hunter2" not in json.dumps(told)
    assert without_credentials("http://127.0.0.1:8000") == "http://127.0.0.1:8000"


def test_errors_are_counted_by_class_and_text_the_most_frequent_first() -> None:
    result = load_result()
    errors = error_table(result.requests)
    assert [error["count"] for error in errors] == sorted((error["count"] for error in errors), reverse=True)
    failed = sum(stage.whole.sent - stage.whole.ok for stage in result.stages)
    assert sum(error["count"] for error in errors) == failed
    assert {"stage", "class", "http_status", "text", "count", "first_s"} == set(errors[0])
