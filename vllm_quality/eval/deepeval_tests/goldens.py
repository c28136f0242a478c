"""Golden files for `deepeval test run`: read as items, without a registered data set around them."""

from pathlib import Path

from vllm_quality.datasets.files import READERS, read_rows
from vllm_quality.datasets.formats import Columns, understand
from vllm_quality.datasets.rows import RowError
from vllm_quality.datasets.schema import DatasetError
from vllm_quality.eval.deepeval_tests.texts import is_hangul
from vllm_quality.eval.items import Item
from vllm_quality.eval.result import hash_of

PACKAGED_GOLDENS = Path(__file__).parent / "goldens.jsonl"
_ENDINGS = (".json", ".jsonl", ".csv")


def load_goldens(path: Path) -> list[Item]:
    """The items of a file in deepeval's format. Raises `DatasetError` at the first row that is no golden.

    An item is Korean where its question has Hangul, else English.
    """
    if path.suffix.lower() not in _ENDINGS or path.suffix.lower() not in READERS:
        raise DatasetError(f"{path} is not one of {', '.join(_ENDINGS)}; give a golden file as deepeval saves it.")
    items = []
    for number, row in read_rows(path):
        try:
            if isinstance(row, RowError):
                raise row
            question = understand("deepeval", row, Columns()).question()
        except RowError as error:
            raise DatasetError(f"{path} row {number} {error}; correct it.") from None
        asked = question.messages[-1].content
        messages = tuple({"role": message.role, "content": message.content} for message in question.messages)
        items.append(
            Item(
                id=hash_of([messages, question.reference, question.metadata]),
                dataset=path.stem,
                language="ko" if any(map(is_hangul, asked)) else "en",
                messages=messages,
                input=asked,
                reference=question.reference,
                choices=tuple(question.metadata.get("choices") or ()),
                metadata=question.metadata,
            )
        )
    if not items:
        raise DatasetError(f"{path} has no goldens; put at least one in.")
    return items
