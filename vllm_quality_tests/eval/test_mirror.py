"""The mirror: the same data without the hub, written once, and a sentence where something is missing."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from vllm_quality.eval.dataset_source import DatasetRequest, reading_from
from vllm_quality.eval.environment import prepare_lm_eval
from vllm_quality.eval.mirror import Mirror, MirrorError
from vllm_quality.eval.mirroring import mirror_tasks
from vllm_quality.eval.suites import Suite
from vllm_quality.eval.task_data import TaskData
from vllm_quality.eval.task_loader import load_tasks
from vllm_quality.results.objects import FileObjects
from vllm_quality.settings import load_settings
from vllm_quality_tests.eval.hub_data import ARC, KOBEST, arc_files, kobest_files
from vllm_quality_tests.eval.task_files import write_answer_task
from vllm_quality_tests.servers.hf_hub import FakeHub
from vllm_quality_tests.servers.openai_api import OpenAIServer

UsedBefore = Callable[[Path], Path]
REQUEST = DatasetRequest("team/quiz", "main")
TASKS = ("arc_easy", "kobest_boolq")

# Runs suites in a process of its own: what is asked, how it is scored, and whom it spoke to.
PROGRAM = """
import json, os, sys

called = []


def watch(event, arguments):
    if event == "socket.getaddrinfo" and arguments[0] not in (None, "127.0.0.1", "localhost"):
        called.append(arguments[0])
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        called.append("http://" + arguments[1][0] + ":" + str(arguments[1][1]))


sys.addaudithook(watch)
from vllm_quality.eval.lm_suite import run_suite
from vllm_quality.eval.suites import Suite
from vllm_quality.eval.task_data import open_task_data
from vllm_quality.eval.task_loader import load_tasks
from vllm_quality.settings import load_settings
from vllm_quality_tests.eval.task_files import vllm_at

release, *tasks = sys.argv[1:]
early = sorted({"datasets", "lm_eval", "numpy", "pyarrow", "huggingface_hub"} & set(sys.modules))
settings = load_settings()
common = {"profile": "full", "concurrency": 2, "timeout_s": 20, "work_folder": settings.home / "work"}
found, used = {}, {}
for name in tasks:
    suite, data = Suite(name=name, num_fewshot=3), open_task_data(settings)
    result = run_suite(suite, vllm_at(release), None, data=data, **common)
    docs = load_tasks(suite, data, work_folder=common["work_folder"]).tasks[name].eval_docs
    used |= result.details["data"]
    found[name] = [
        result.comparable, dict(result.metrics), result.problem, result.samples.rows(), result.texts.rows(), list(docs),
        str(docs.features),
    ]
print(json.dumps({"early": early, "found": found, "used": used, "called": sorted(set(called))}), flush=True)
os._exit(0)  # a thread of pyarrow's that is still there when the interpreter ends aborts the process, now and then
"""


@pytest.fixture(autouse=True)
def _offline_ends_with_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test sets so that the libraries stay offline is taken back."""
    from huggingface_hub import constants

    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_EVALUATE_OFFLINE"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", constants.HF_HUB_OFFLINE)


def environment(folder: Path, **more: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "VLLM_QUALITY_"))}
    return {
        **inherited,
        "HOME": str(folder),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "VLLM_QUALITY_HOME": str(folder / "home"),
        **more,
    }


def run(*command: str, env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-W", "error", *command], env=env, cwd=env["HOME"], capture_output=True, text=True, check=False
    )


def run_suites(env: dict[str, str], release: OpenAIServer) -> Any:
    done = run("-c", PROGRAM, release.base_url, *TASKS, env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_suite_scores_the_same_from_the_mirror_as_from_the_hub_and_nobody_else_is_called(
    tmp_path: Path, used_before: UsedBefore
) -> None:
    online, offline = tmp_path / "online", tmp_path / "offline"
    for place in (online, offline):
        used_before(place / "home" / "work")
    objects = f"file://{tmp_path / 'objects'}"
    with FakeHub() as hub, OpenAIServer() as release:
        hub.push(ARC, arc_files())
        hub.push(KOBEST, kobest_files())
        with_hub = environment(online, HF_ENDPOINT=hub.url, VLLM_QUALITY_OBJECTS_URL=objects)
        from_hub = run_suites(with_hub, release)
        done = run("-m", "vllm_quality", "datasets", "mirror", *TASKS, env=with_hub)
        assert done.returncode == 0, done.stderr
        assert done.stdout == (
            f"'{ARC}' (ARC-Easy): version 1 (new), 36 rows\n'{KOBEST}' (boolq): version 1 (new), 27 rows\n"
        )
        hub.requests.clear()
        # The hub still answers: that nothing asks it is the mirror's doing.
        settings = {"VLLM_QUALITY_OBJECTS_URL": objects, "VLLM_QUALITY_BENCHMARKS": "mirror", "HF_ENDPOINT": hub.url}
        from_mirror = run_suites(environment(offline, **settings), release)
        assert hub.requests == []
        assert {hub.url, release.base_url} < set(from_hub["called"])  # and whatever else the library asks
        assert from_mirror["called"] == [release.base_url]
    assert from_hub["early"] == from_mirror["early"] == []
    assert from_hub["found"] == from_mirror["found"]
    assert "ClassLabel" in from_mirror["found"]["kobest_boolq"][-1]
    assert from_hub["used"] == {}
    assert from_mirror["used"] == {f"'{ARC}' (ARC-Easy)": 1, f"'{KOBEST}' (boolq)": 1}


def test_what_changed_upstream_is_a_new_version_and_what_did_not_is_none(
    tmp_path: Path, used_before: UsedBefore
) -> None:
    used_before(tmp_path / "home" / "work")
    with FakeHub() as hub:
        first = hub.push(ARC, arc_files())
        env = environment(tmp_path, HF_ENDPOINT=hub.url)
        command = ("-m", "vllm_quality", "datasets", "mirror", "arc_easy")
        assert "version 1 (new)" in run(*command, env=env).stdout
        assert "version 1 (unchanged)" in run(*command, env=env).stdout
        hub.push(ARC, arc_files(questions=13))
        assert "version 2 (new), 39 rows" in run(*command, env=env).stdout
    mirror = Mirror(FileObjects(tmp_path / "home" / "objects"))
    folder = f"benchmarks/{ARC}/@ARC-Easy"
    assert mirror.objects.list(folder) == [f"{folder}/000001.json", f"{folder}/000002.json"]
    assert json.loads(mirror.objects.get(f"{folder}/000001.json"))["revision"] == first
    newest = mirror.latest(DatasetRequest(ARC, "ARC-Easy"))
    assert newest is not None
    assert newest.manifest.splits["test"].rows == 13


def quiz(rows: int = 4) -> Any:
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"text": Value("string"), "label": ClassLabel(names=["no", "yes"])})
    return Dataset.from_list([{"text": f"글 {n}", "label": n % 2} for n in range(rows)], features=features)


def test_the_same_rows_are_stored_once_and_come_back_with_their_types(tmp_path: Path) -> None:
    mirror = Mirror(FileObjects(tmp_path))
    one = mirror.publish(REQUEST, {"train": quiz(), "test": quiz()})
    assert (one.number, one.is_new) == (1, True)
    again = mirror.publish(REQUEST, {"train": quiz(), "test": quiz()})
    assert (again.number, again.is_new) == (1, False)
    assert len([key for key in mirror.objects.list("benchmarks/") if key.endswith(".parquet")]) == 1
    back = mirror.read(one.manifest.splits["test"], "test")
    assert back.features == quiz().features
    assert list(back) == list(quiz())


def test_two_who_mirror_at_once_both_find_what_they_stored(tmp_path: Path) -> None:
    mirror = Mirror(FileObjects(tmp_path))
    with ThreadPoolExecutor(4) as pool:
        versions = list(pool.map(lambda rows: mirror.publish(REQUEST, {"test": quiz(rows)}), range(1, 5)))
    assert sorted(version.number for version in versions) == [1, 2, 3, 4]
    newest = mirror.latest(REQUEST)
    assert newest == next(version for version in versions if version.number == 4)


def test_a_file_that_is_not_what_was_stored_is_refused(tmp_path: Path) -> None:
    mirror = Mirror(FileObjects(tmp_path))
    split = mirror.publish(REQUEST, {"test": quiz()}).manifest.splits["test"]
    (tmp_path / split.key).write_bytes(b"PAR1")
    with pytest.raises(MirrorError, match="is not what was stored there"):
        mirror.read(split, "test")


def test_configurations_options_and_odd_names_stay_apart(tmp_path: Path) -> None:
    mirror = Mirror(FileObjects(tmp_path))
    requests = [
        REQUEST,
        DatasetRequest("team/quiz", None),
        DatasetRequest("team/quiz", "other"),
        DatasetRequest("team/quiz", "main", {"revision": "v2"}),
        DatasetRequest("team/quiz/main", None),
        DatasetRequest("team", "quiz"),
        DatasetRequest("json", None, {"data_files": {"test": "https://example.com/../a.json"}}),
        DatasetRequest("team/quiz", "../../a b"),
        DatasetRequest("team/quiz", "한국어"),
    ]
    for rows, request in enumerate(requests, 1):
        assert mirror.publish(request, {"test": quiz(rows)}).is_new
    for rows, request in enumerate(requests, 1):
        version = mirror.latest(request)
        assert version is not None
        assert version.manifest.rows == rows


@pytest.mark.parametrize(
    ("request_", "local"),
    [
        (DatasetRequest("json", None, {"data_files": {"test": "/a.json"}}), True),
        (DatasetRequest("csv", None, {"data_files": ["a.csv", "https://example.com/b.csv"]}), False),
        (DatasetRequest("json", None, {"data_files": "hf://datasets/a/b.json"}), False),
        (DatasetRequest("json", None), False),
        (DatasetRequest(str(Path(__file__).parent), None), True),
        (DatasetRequest("mirror://ko-benchmark/ko_arc", None), False),
        (DatasetRequest("allenai/ai2_arc", "ARC-Easy"), False),
    ],
)
def test_files_of_this_machine_need_no_mirror(request_: DatasetRequest, local: bool) -> None:
    assert request_.is_local is local


def test_a_local_task_runs_with_an_empty_mirror(tmp_path: Path) -> None:
    prepare_lm_eval(None)
    write_answer_task(tmp_path)
    loaded = load_tasks(Suite(name="sums", include_path=tmp_path), nothing_but(tmp_path / "objects"))
    assert len(loaded.tasks["sums"].eval_docs) == 12
    assert loaded.data == {}


def nothing_but(folder: Path) -> TaskData:
    return TaskData(Mirror(FileObjects(folder)), only=True)


def test_missing_data_are_one_sentence_with_the_command(tmp_path: Path, used_before: UsedBefore) -> None:
    with pytest.raises(MirrorError) as caught:
        load_tasks(Suite(name="arc_easy"), nothing_but(tmp_path), work_folder=used_before(tmp_path))
    assert str(caught.value) == (
        "The mirror has no data set 'allenai/ai2_arc' (ARC-Easy); run `vllm-quality datasets mirror arc_easy` where the "
        "Hugging Face hub can be reached, with this VLLM_QUALITY_OBJECTS_URL."
    )


def test_a_task_whose_own_code_loads_its_data_is_served_too(tmp_path: Path) -> None:
    prepare_lm_eval(None)
    mirror = Mirror(FileObjects(tmp_path / "objects"))
    mirror.publish(REQUEST, {"train": quiz(3), "test": quiz(5)})
    (tmp_path / "mine.py").write_text(
        "import datasets\nfrom datasets import load_dataset\n\n\n"
        "def own(**_):\n    return {'test': load_dataset('team/quiz', 'main', split='test'),\n"
        "            'train': datasets.load_dataset('team/quiz', name='main')['train']}\n\n\n"
        "def louder(rows):\n    return rows.filter(lambda row: row['label'] == 0).map(lambda row: {'text': row['text'] + '!'})\n",
        encoding="utf-8",
    )
    (tmp_path / "mine.yaml").write_text(
        "task: mine\ncustom_dataset: !function mine.own\ntest_split: test\noutput_type: generate_until\n"
        "process_docs: !function mine.louder\ndoc_to_text: '{{text}}'\ndoc_to_target: '{{label}}'\n",
        encoding="utf-8",
    )
    loaded = load_tasks(Suite(name="mine", include_path=tmp_path), TaskData(mirror, only=True))
    assert [doc["text"] for doc in loaded.tasks["mine"].eval_docs] == ["글 0!", "글 2!", "글 4!"]
    assert loaded.data == {"'team/quiz' (main)": 1}


def test_a_task_that_is_a_class_is_served_too(tmp_path: Path, used_before: UsedBefore) -> None:
    from datasets import Dataset

    mirror = Mirror(FileObjects(tmp_path / "objects"))
    row = {"id": "1", "title": "t", "context": "c", "question": "q", "answers": {"text": ["c"], "answer_start": [0]}}
    mirror.publish(
        DatasetRequest("lighteval/squad_v2", None),
        {"train": Dataset.from_list([row]), "validation": Dataset.from_list([row])},
    )
    loaded = load_tasks(Suite(name="squadv2"), TaskData(mirror, only=True), work_folder=used_before(tmp_path))
    assert list(loaded.tasks["squadv2"].eval_docs) == [row]


def test_data_that_only_a_loading_script_can_make_are_refused_in_one_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "repositories" / "team" / "quiz"
    folder.mkdir(parents=True)
    (folder / "quiz.py").write_text("raise SystemExit('this ran')\n", encoding="utf-8")
    write_answer_task(tmp_path / "tasks")
    (tmp_path / "tasks" / "sums.yaml").write_text(
        "task: sums\ndataset_path: team/quiz\ntest_split: test\noutput_type: generate_until\n", encoding="utf-8"
    )
    (tmp_path / "evalchemy.json").write_text('{"tasks": ["sums"]}', encoding="utf-8")
    said: list[str] = []
    settings = load_settings(config_dir=tmp_path)
    assert not mirror_tasks(settings, [], tmp_path / "repositories", said.append)
    assert "sums: Suite 'sums': its task or data set cannot be loaded" in said[0]
    assert "Dataset scripts are no longer supported" in said[0]
    assert "\n" not in said[0]


def test_a_split_that_was_not_mirrored_is_named(tmp_path: Path) -> None:
    import datasets

    mirror = Mirror(FileObjects(tmp_path))
    mirror.publish(REQUEST, {"test": quiz()})
    with (
        reading_from(TaskData(mirror, only=True)),
        pytest.raises(MirrorError, match=r"has no split 'train\[:10\]', only test"),
    ):
        datasets.load_dataset("team/quiz", "main", split="train[:10]")


def test_splits_are_read_when_they_are_looked_at(tmp_path: Path) -> None:
    import datasets

    mirror = Mirror(FileObjects(tmp_path))
    splits = mirror.publish(REQUEST, {"train": quiz(3), "test": quiz(5)}).manifest.splits
    (tmp_path / splits["train"].key).unlink()
    with reading_from(TaskData(mirror, only=True)):
        loaded = datasets.load_dataset("team/quiz", "main")
    assert list(loaded) == ["train", "test"]
    assert "train" in loaded
    assert len(loaded["test"]) == 5
    mirror.objects.put(splits["train"].key, (tmp_path / splits["test"].key).read_bytes())
    with pytest.raises(MirrorError, match="is not what was stored"):
        dict(loaded)


def test_outside_of_a_suite_the_library_is_itself(tmp_path: Path) -> None:
    import datasets

    with reading_from(nothing_but(tmp_path)), pytest.raises(MirrorError):
        datasets.load_dataset("team/quiz")
    data = tmp_path / "rows.jsonl"
    data.write_text('{"a": 1}\n', encoding="utf-8")
    assert list(datasets.load_dataset("json", data_files=str(data), split="train")) == [{"a": 1}]


def test_a_failed_task_does_not_keep_the_others_from_the_mirror(tmp_path: Path, used_before: UsedBefore) -> None:
    used_before(tmp_path / "home" / "work")
    folder = tmp_path / "repositories"
    for path, data in kobest_files().items():
        (folder / KOBEST / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / KOBEST / path).write_bytes(data)
    command = ("-m", "vllm_quality", "datasets", "mirror", "arc_easy", "kobest_boolq", "nonsense", "basics_en")
    done = run(*command, "--from", str(folder), env=environment(tmp_path, HF_HUB_OFFLINE="1"))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    first, second, third, fourth = done.stdout.splitlines()
    assert first.startswith(f"arc_easy: There is no folder {folder / ARC} for the data set '{ARC}' (ARC-Easy)")
    assert second == f"'{KOBEST}' (boolq): version 1 (new), 27 rows"
    assert third.startswith("nonsense: There is no task 'nonsense'")
    assert fourth == "basics_en: nothing to mirror, its data are files"
