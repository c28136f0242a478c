"""No raw personal data leave the step that reads them: every output of a whole run is searched, byte by byte."""

import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from vllm_quality.datasets.assets import evaluation_snapshot
from vllm_quality.datasets.checks import build_snapshot_checks
from vllm_quality.partitions import model_tags
from vllm_quality.results.resources import ResultsResource
from vllm_quality_tests.datasets.sets import lines, write_set

PHONES = ("010-2345-6789", "010-8765-4321", "+82 10-5555-1234", "02-312-4567", "010-9999-0001")
SECRETS = (
    *PHONES,
    "kim.cheolsu@example.co.kr",
    "900101-1234568",
    "4111-1111-1111-1111",
    "sk-proj-abcdefghijklmnopqrstuvwx123456",
)
KEY = "an epoch's key of 32 characters!"
# So that no cut, case or escape of them hides one.
FRAGMENTS = tuple({part for secret in SECRETS for part in (secret, secret.replace("-", ""), secret[4:-1])})


def sets_with_secrets(place: Path) -> None:
    """Sets of three formats that hold the secrets in every part of a row, and in rows that cannot be read."""
    phone, mail, number, card, key = SECRETS[0], SECRETS[5], SECRETS[6], SECRETS[7], SECRETS[8]
    rows: list[object] = [
        {
            "input": f"제 번호는 {phone}입니다. {word} 언제 오나요?",
            "reference": f"{mail}로 연락 주세요",
            "topic": f"주민번호 {number}",
        }
        for word in ("택배가", "택배가", "기사님이", "상담원이 다시")
    ]
    rows.append(
        {"input": f"카드 {card}로 결제했어요", "choices": [f"{PHONES[1]}로 전화", "아니오"], "topic": {"deep": [mail]}}
    )
    rows.append(
        {"messages": [{"role": "system", "content": f"key {key}"}, {"role": "user", "content": f"Call {PHONES[2]}"}]}
    )
    bad = [
        {"question": f"no input, but {mail}"},
        {"input": [phone]},
        {"messages": [{"role": number, "content": phone}]},
    ]
    text = (
        lines([*rows, *bad])
        + f'{{"input": "{PHONES[3]}", broken {mail}\n'
        + f'"{number}\n'
        + f"[{json.dumps(phone)}]\n"
    )
    write_set(place, "orders", {"rows.jsonl": text}, language="ko", columns={"metadata": ["topic"]}, role="traffic")
    csv = f'input,reference\n"{mail} 님이 문의","{phone}"\n"{phone}, ""{card}\n{number},{mail},{key}\n'
    write_set(place, "letters", {"rows.csv": csv}, format="csv", language="ko")
    shared = [
        {
            "conversations": [
                {"from": "human", "value": f"{PHONES[4]}로 연락해 주세요. {mail}"},
                {"from": "gpt", "value": key},
            ]
        }
    ]
    shared += [{"conversations": [{"from": phone, "value": mail}]}]
    write_set(place, "chats", {"rows.json": json.dumps(shared)}, format="sharegpt", language="ko", role="regression")


def texts_of(path: Path) -> Iterator[str]:
    """All that a file says: as it is, and for parquet its decoded values as well."""
    yield path.read_bytes().decode("utf-8", "replace")
    if path.suffix == ".parquet":
        yield json.dumps(pl.read_parquet(path).to_dicts(), ensure_ascii=False, default=str)


@pytest.mark.parametrize("key", [KEY, None])
def test_no_secret_is_in_any_output_nor_in_the_event_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], key: str | None
) -> None:
    sets_with_secrets(tmp_path / "sets")
    monkeypatch.setenv("VLLM_QUALITY_DATASETS_DIR", str(tmp_path / "sets"))
    if key is not None:
        monkeypatch.setenv("VLLM_QUALITY_PII_KEY", key)
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as instance:
        instance.add_dynamic_partitions(str(model_tags.name), ["release-1"])
        done = dg.materialize(
            [evaluation_snapshot, build_snapshot_checks(evaluation_snapshot)],
            partition_key="release-1",
            instance=instance,
            resources={"results": ResultsResource()},
            raise_on_error=False,
        )
        assert done.success
        events = " ".join(entry.to_json() for entry in instance.all_logs(done.run_id))  # type: ignore[no-untyped-call]
    outputs = {
        path: " ".join(texts_of(path)) for path in tmp_path.rglob("*") if path.is_file() and "sets" not in path.parts
    }
    assert {path.suffix for path in outputs} >= {".parquet", ".json"}
    printed = capfd.readouterr()
    outputs |= {Path("the event log"): events, Path("stdout"): printed.out, Path("stderr"): printed.err}
    for place, text in outputs.items():
        for fragment in (*FRAGMENTS, *([KEY] if key else ())):
            assert fragment not in text, f"{place} holds {fragment!r}"
    # They were there to be found: as many placeholders as a person would expect stand in their place.
    items = " ".join(text for path, text in outputs.items() if path.name == "items.parquet")
    assert items.count("<PHONE") >= 6
    assert "<EMAIL" in items
    assert ("<PHONE_" in items) is (key is not None)
    quarantine = " ".join(text for path, text in outputs.items() if path.name == "quarantine.parquet")
    assert quarantine.count('"file"') >= 8
    assert list((tmp_path / "home" / "work" / "spool").glob("spool-*")) == []
