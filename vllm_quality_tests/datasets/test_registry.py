"""Which data sets there are, and what a mistake in one's description says."""

from pathlib import Path
from typing import Any

import pytest

from vllm_quality.datasets.registry import find_sets
from vllm_quality.datasets.schema import DatasetError
from vllm_quality.settings import load_settings
from vllm_quality_tests.datasets.sets import lines, read_set, write_set

ROW = lines([{"input": "q", "reference": "a"}])


def test_the_packaged_sets_are_whole_and_free() -> None:
    sets = find_sets(load_settings())
    assert [found.name for found in sets] == ["basics_en", "basics_ko"]
    for found in sets:
        contents = read_set(found)
        assert contents.bad_rows == 0
        assert len(contents.items) >= 150
        assert len({item.content_hash for item in contents.items}) == len(contents.items)
        assert found.description.licence == "CC0-1.0"
        assert all(item.reference for item in contents.items)


def test_the_operators_sets_join_the_packaged_ones_and_win(tmp_path: Path) -> None:
    write_set(tmp_path, "mine", {"rows.jsonl": ROW})
    write_set(tmp_path, "basics_en", {"rows.jsonl": ROW}, description="ours")
    (tmp_path / ".git").mkdir()
    found = {entry.name: entry for entry in find_sets(load_settings(datasets_dir=tmp_path))}
    assert list(found) == ["basics_en", "basics_ko", "mine"]
    assert found["basics_en"].description.description == "ours"


@pytest.mark.parametrize(
    ("description", "said"),
    [
        ({"role": "bench"}, "role cannot be used: input should be 'benchmark', 'golden', 'regression' or 'traffic'"),
        ({"colums": {}}, "colums is not a setting"),
        ({"licence": ""}, "licence cannot be used"),
        ({"language": "Korean"}, "language cannot be used"),
        ({"priority": "high"}, "priority cannot be used"),
        ({"columns": {"question": "q"}}, "columns.question is not a setting"),
        ({"files": ["../other/*.jsonl"]}, "leads out of the folder"),
    ],
)
def test_a_wrong_key_is_named_with_its_file(tmp_path: Path, description: dict[str, Any], said: str) -> None:
    with pytest.raises(DatasetError) as caught:
        write_set(tmp_path, "mine", {"rows.jsonl": ROW}, **description)
    assert str(tmp_path / "mine" / "dataset.yaml") in str(caught.value)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_key_file_or_folder_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "sets" / "mine"
    folder.mkdir(parents=True)
    settings = load_settings(datasets_dir=folder.parent)
    with pytest.raises(DatasetError, match=r"mine has no dataset\.yaml"):
        find_sets(settings)
    (folder / "dataset.yaml").write_text("format: jsonl", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"dataset\.yaml: language is missing"):
        find_sets(settings)
    (folder / "dataset.yaml").write_text("format: [", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"dataset\.yaml cannot be read"):
        find_sets(settings)
    with pytest.raises(DatasetError, match=r"VLLM_QUALITY_DATASETS_DIR is .*, which is not a folder"):
        find_sets(load_settings(datasets_dir=tmp_path / "none"))


def test_data_files_must_be_there_and_of_the_format(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"has no file \*\.jsonl or \*\.ndjson"):
        write_set(tmp_path, "empty", {}).data_files()
    with pytest.raises(DatasetError, match=r"does not end in \.csv, as format csv has it"):
        write_set(tmp_path, "mixed", {"rows.jsonl": ROW}, format="csv", files=["rows.*"]).data_files()
    nested = write_set(
        tmp_path, "nested", {"b/2.jsonl": ROW, "a/1.jsonl": ROW, "notes.jsonl": ROW}, files=["*/*.jsonl"]
    )
    assert [path.name for path in nested.data_files()] == ["1.jsonl", "2.jsonl"]
