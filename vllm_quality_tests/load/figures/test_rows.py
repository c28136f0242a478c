from vllm_quality.load.figures.rows import result_metrics
from vllm_quality.verdict.metrics import definition_of
from vllm_quality_tests.load.output.results import capacity, load_result


def test_each_stage_and_what_was_found_over_all_of_them_are_rows_that_the_registry_knows() -> None:
    result = load_result()
    rows = result_metrics("load/quick", result.stages, result.plateau, capacity())
    assert all(definition_of(name) is not None for name in rows)
    assert {name.split("/")[2] for name in rows} == {stage.name for stage in result.stages} | {"plateau", "capacity"}


def test_what_was_not_reached_and_a_probe_have_no_row() -> None:
    result = load_result()
    first = result.stages[0]
    probe = type(first)(**{**vars(first), "name": "probe-1", "probe": True})
    assert result.plateau is not None
    unreached = type(result.plateau)(**{**vars(result.plateau), "reached": False, "knee": None})
    assert result_metrics("load/quick", [probe], unreached, None) == {}
