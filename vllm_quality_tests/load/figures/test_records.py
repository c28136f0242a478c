"""What is recorded is what was: whichever worker played it, in whichever order it ended."""

import json
import random
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vllm_quality.load.figures.gap_file import GapFile
from vllm_quality.load.figures.records import RECORD_SCHEMA, Records, RecordsFiles, merge_records, requests_table
from vllm_quality.load.figures.recount import read_texts, recount
from vllm_quality.load.tape import Entry
from vllm_quality.results.rows import check_requests
from vllm_quality_tests.load.figures.recording import START, Recorder, three


def test_the_frame_is_what_the_requests_table_takes(tmp_path: Path) -> None:
    frame, _ = three(tmp_path).merged()
    assert dict(frame.schema) == RECORD_SCHEMA
    assert check_requests(requests_table(frame)).height == 3
    last = frame.row(2, named=True)
    assert (last["outcome"], last["error"], last["item"]) == ("truncated", "cut", "item2")
    assert last["first_token_s"] == pytest.approx(2.5)
    assert last["prompt_tokens"] == 7  # the tape's count, where the server gave none


def test_an_empty_stage_is_an_empty_frame(tmp_path: Path) -> None:
    frame, gaps = merge_records([Records("s", "r", START, tmp_path).finish()])
    assert dict(frame.schema) == RECORD_SCHEMA
    assert check_requests(requests_table(frame)).height == len(gaps.itl) == len(gaps.chunk) == 0
    assert merge_records([])[0].height == 0


def test_the_tape_says_which_request_it_was(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    recorder.add(0, [0.1], index=9, entry=Entry(None, "안녕", b"{}", None, session=4, turn=2, output_tokens=64), lap=1)
    frame, _ = recorder.merged()
    told = frame.select("request_index", "item", "session", "turn", "asked_tokens", "lap", "prompt_tokens").row(0)
    assert told == (9, "안녕", 4, 2, 64, 1, None)


def test_what_did_not_happen_is_null(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    recorder.add(0, outcome="connect_error")
    row = recorder.merged()[0].row(0, named=True)
    assert (row["headers_s"], row["first_token_s"], row["last_token_s"], row["output_tokens"]) == (None,) * 4


def test_a_count_that_no_server_can_mean_is_none(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    recorder.add(0, [0.1, 0.2], output=-3)
    recorder.add(0, [0.1, 0.2], output=10**12)
    recorder.add(0, [0.1, 0.2], counts=[1, 10**9], output=10**9 + 1)  # and is not one value per token either
    frame, gaps = recorder.merged()
    assert frame["output_tokens"].to_list() == [None, None, 10**9 + 1]
    assert len(gaps.itl) == 3


def test_several_tokens_in_one_event_share_its_gap(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    recorder.add(0, [0.1, 0.4, 0.5], counts=[2, 3, 1], output=6)
    frame, gaps = recorder.merged()
    assert gaps.itl.tolist() == pytest.approx([0.1, 0.1, 0.1, 0.1])
    assert gaps.chunk.tolist() == pytest.approx([0.3, 0.1])
    assert frame.select("itl_values", "chunk_values", "chunks").row(0) == (4, 2, 3)


def test_gaps_are_kept_once_where_every_event_brings_one_token(tmp_path: Path) -> None:
    recorder = three(tmp_path)
    files = recorder.finish()
    _, gaps = merge_records([files])
    assert gaps.chunk is gaps.itl
    assert Path(files.gap).stat().st_size == 0
    assert Path(files.itl).stat().st_size == 6 * 4  # of those that succeeded


def test_the_files_travel_as_json(tmp_path: Path) -> None:
    files = three(tmp_path).finish()
    assert RecordsFiles.from_json(json.loads(json.dumps(files.as_json()))) == files


def test_what_was_merged_outlives_its_files(tmp_path: Path) -> None:
    files = three(tmp_path).finish()
    frame, gaps = merge_records([files])
    for path in tmp_path.iterdir():
        path.unlink()
    assert gaps.itl.tolist() == pytest.approx([0.1, 0.2, 0.1, 0.1, 0.1, 0.4])
    assert frame.height == 3


@settings(max_examples=40, deadline=None)
@given(
    answers=st.lists(st.lists(st.integers(1, 3), max_size=5), max_size=25),
    workers=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_workers_merge_to_what_one_would_have_recorded(
    tmp_path_factory: pytest.TempPathFactory, answers: list[list[int]], workers: int, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    shards = [Recorder(folder / str(worker)) for worker in range(workers)]
    order = list(enumerate(answers))
    random.Random(seed).shuffle(order)
    for index, counts in order:
        times = [index + place / 8 for place in range(1, len(counts) + 1)]
        failed = "stalled" if index % 5 == 4 else "ok"
        shards[index % workers].add(
            index,
            times,
            index=index,
            counts=counts,
            output=sum(counts),
            outcome=failed,  # type: ignore[arg-type]
        )
    frame, gaps = merge_records([shard.finish() for shard in shards])
    assert frame["request_index"].to_list() == list(range(len(answers)))
    ok = [counts for index, counts in enumerate(answers) if index % 5 != 4]
    assert gaps.itl.tolist() == pytest.approx([0.125 / n for counts in ok for n in counts[1:] for _ in range(n)])
    assert gaps.chunk.tolist() == pytest.approx([0.125 for counts in ok for _ in counts[1:]])
    assert int(frame["itl_values"].sum()) == len(gaps.itl)
    assert int(frame["chunk_values"].sum()) == len(gaps.chunk)


def test_many_values_go_to_their_file_as_they_come(tmp_path: Path) -> None:
    kept = GapFile(tmp_path / "values.f32")
    for _ in range(5):
        kept.extend([0.25] * 100_000)
    assert (tmp_path / "values.f32").stat().st_size >= 4 * 200_000
    assert kept.close().stat().st_size == 4 * 500_000


def test_answers_that_the_server_did_not_count_are_counted_again(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    recorder.add(0, [0.1, 0.2], text="one two three four")
    recorder.add(1, [1.1, 1.2], text="one two", output=2)  # the server's own count stands
    recorder.add(2, [2.1], text="one two", outcome="truncated")
    recorder.add(3, [3.1], text="")
    files = recorder.finish()
    frame, _ = merge_records([files])
    texts = read_texts([files])
    assert texts["text"].to_list() == ["one two three four"]
    again = recount(frame, texts, lambda text: len(text.split()))
    assert again["output_tokens"].to_list() == [4, 2, 1, 1]
    assert again["recounted"].to_list() == [True, False, False, False]
    assert again["counted"].to_list() == [False, True, False, False]
    assert again["request_index"].to_list() == [0, 1, 2, 3]


def test_without_a_tokenizer_nothing_is_recounted(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    recorder.add(0, [0.1, 0.2], text="one two three four")
    files = recorder.finish()
    frame, _ = merge_records([files])
    again = recount(frame, read_texts([files]), None)
    assert again.drop("recounted").equals(frame)
    assert again["recounted"].dtype == pl.Boolean
    assert again["recounted"].to_list() == [False]
