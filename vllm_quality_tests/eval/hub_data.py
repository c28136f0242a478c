"""Repositories of a hub with invented rows, in the columns and types of the real data sets that two of lm-eval's tasks use."""

import io
from collections.abc import Mapping
from typing import Any

ARC, KOBEST = "allenai/ai2_arc", "skt/kobest_v1"


def arc_files(*, questions: int = 12) -> dict[str, bytes]:
    """`allenai/ai2_arc` with its configuration ARC-Easy."""
    from datasets import Features, Sequence, Value

    features = Features(
        {
            "id": Value("string"),
            "question": Value("string"),
            "choices": Sequence({"text": Value("string"), "label": Value("string")}),
            "answerKey": Value("string"),
        }
    )

    def row(split: str, number: int) -> dict[str, Any]:
        return {
            "id": f"{split}_{number}",
            "question": f"What is {number} and {number}?",
            "choices": {"text": [str(2 * number + step) for step in range(4)], "label": list("ABCD")},
            "answerKey": "A",
        }

    splits = {split: [row(split, number) for number in range(questions)] for split in ("train", "validation", "test")}
    return _repository("ARC-Easy", splits, features)


def kobest_files() -> dict[str, bytes]:
    """`skt/kobest_v1` with its configuration boolq, whose label is a class and no number."""
    from datasets import ClassLabel, Features, Value

    features = Features(
        {"paragraph": Value("string"), "question": Value("string"), "label": ClassLabel(names=["False", "True"])}
    )

    def row(split: str, number: int) -> dict[str, Any]:
        return {
            "paragraph": f"{split}의 {number}번째 글.",
            "question": f"{number}은 짝수인가?",
            "label": (number + 1) % 2,
        }

    splits = {split: [row(split, number) for number in range(9)] for split in ("train", "validation", "test")}
    return _repository("boolq", splits, features)


def _repository(config: str, splits: Mapping[str, list[dict[str, Any]]], features: Any) -> dict[str, bytes]:
    from datasets import Dataset

    lines = [f"  - split: {split}\n    path: {config}/{split}-*.parquet\n" for split in splits]
    readme = f"---\nconfigs:\n- config_name: {config}\n  data_files:\n{''.join(lines)}---\n"
    files = {"README.md": readme.encode()}
    for split, rows in splits.items():
        buffer = io.BytesIO()
        Dataset.from_list(rows, features=features).to_parquet(buffer)
        files[f"{config}/{split}-00000-of-00001.parquet"] = buffer.getvalue()
    return files
