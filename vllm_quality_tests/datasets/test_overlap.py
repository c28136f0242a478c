"""Which items another set holds as well, and which documents of a benchmark."""

from pathlib import Path

from vllm_quality.datasets.catalogue.importing import Importing, import_set
from vllm_quality.datasets.description import Description
from vllm_quality.datasets.freeze import Freezing, build_snapshot
from vllm_quality.datasets.overlap import overlapping_documents, overlapping_items
from vllm_quality.datasets.schema import Item, Message
from vllm_quality.datasets.snapshot import load_snapshot
from vllm_quality.datasets.stored_sets import find_stored_sets
from vllm_quality.eval.result import hash_of
from vllm_quality.results.objects import FileObjects
from vllm_quality_tests.datasets.sets import lines, write_set

QUESTIONS = (
    "Which gas do plants take up from the air?",
    "Who wrote the play about a Danish prince?",
    "Why is the sea salty?",
)
BENCHMARK = Description(format="items", language="en", role="benchmark", licence="CC-BY-4.0")


def document(number: int, text: str, task: str) -> Item:
    metadata = f'{{"doc_hash": "hash{number}", "task": "{task}"}}'
    return Item("arc", "en", "benchmark", (Message("user", text),), "x", (), metadata, task, number)


def test_flagged_items_of_two_sets_overlap_and_so_do_their_documents(tmp_path: Path) -> None:
    objects, work = FileObjects(tmp_path / "objects"), tmp_path / "work"
    documents = [document(number, text, "arc_easy") for number, text in enumerate(QUESTIONS)]
    documents += [
        document(3, QUESTIONS[2] + " Tell me", "arc_hard"),
        document(4, "Something else altogether", "arc_hard"),
    ]
    import_set(Importing("arc", BENCHMARK, ("lm-eval arc",), documents), objects, work=work, by="kim")
    rows = [
        {"input": QUESTIONS[0], "reference": "x"},
        {"input": QUESTIONS[2] + "!", "reference": "x"},
        {"input": "Mine alone, I think"},
    ]
    golden = write_set(tmp_path, "golden", {"rows.jsonl": lines(rows)}, pii="keep")
    snapshot = build_snapshot([golden, find_stored_sets(objects)["arc"]], objects, Freezing(work=work))
    assert snapshot.manifest.item_counts == {"arc": 5, "golden": 3}

    found = overlapping_items(objects, snapshot.hash)
    frame = load_snapshot(objects, snapshot.hash)
    texts = {(row["dataset"], row["input"]) for row in frame.iter_rows(named=True) if row["id"] in found}
    assert texts >= {
        ("arc", QUESTIONS[0]),
        ("arc", QUESTIONS[2]),
        ("golden", QUESTIONS[0]),
        ("golden", QUESTIONS[2] + "!"),
    }
    assert not texts & {("arc", QUESTIONS[1]), ("golden", "Mine alone, I think"), ("arc", "Something else altogether")}

    documents_found = overlapping_documents(objects, snapshot.hash, "arc_easy")
    assert documents_found == {hash_of(["arc_easy", "hash0"]), hash_of(["arc_easy", "hash2"])}
    assert overlapping_documents(objects, snapshot.hash, "gsm8k") == frozenset()


def test_a_snapshot_of_one_set_has_no_overlap(tmp_path: Path) -> None:
    objects = FileObjects(tmp_path / "objects")
    rows = [{"input": QUESTIONS[0]}, {"input": QUESTIONS[0] + "!"}]
    source = write_set(tmp_path, "bench", {"rows.jsonl": lines(rows)}, role="benchmark")
    snapshot = build_snapshot([source], objects, Freezing(work=tmp_path / "work"))
    assert snapshot.manifest.items == 2
    assert overlapping_items(objects, snapshot.hash) == frozenset()
