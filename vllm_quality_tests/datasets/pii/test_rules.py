"""Rules one by one, where the labelled sentences don't reach."""

import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_quality.datasets.pii.checks import is_brn, is_frn, is_iban, is_luhn, is_rrn
from vllm_quality.datasets.pii.folding import fold
from vllm_quality.datasets.pii.kinds import KINDS, Found
from vllm_quality.datasets.pii.overlaps import Candidate, without_overlaps
from vllm_quality.datasets.pii.recognisers import LANGUAGE, build_registry
from vllm_quality.datasets.pii.rule import LIKELY, NUMBER, STRONG, Near, Rule, RuleSet
from vllm_quality.datasets.pii.rules import RULES, VERSION
from vllm_quality.datasets.pii.skeleton import skeleton
from vllm_quality.datasets.pii.walk import walk


def kinds_in(text: str) -> set[str]:
    return {kind for kind, rules in RULES.items() if any(RuleSet(rules).findings(fold(text)))}


@pytest.mark.parametrize("particle", ["은", "이", "을", "로", "에서", "입니다", "이라고", ",", ")", "\n", ""])
@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("PHONE", "010-0000-1234"),
        ("PHONE", "02-000-1234"),
        ("RRN", "900101-1234567"),
        ("BRN", "996-05-11445"),
        ("CARD", "4111-1111-1111-1111"),
        ("EMAIL", "hong@example.co.kr"),
        ("IP", "203.0.113.77"),
        ("IP", "2001:db8::1"),
        ("IBAN", "DE89370400440532013000"),
    ],
)
def test_a_value_ends_before_a_particle(kind: str, value: str, particle: str) -> None:
    found = [(start, end) for _, start, end in RuleSet(RULES[kind]).findings(f"지금{value}{particle}")]
    assert (2, 2 + len(value)) in found


@pytest.mark.parametrize("name", ["홍길동", "김민수", "남궁민정"])
@pytest.mark.parametrize("title", [" 씨가", "씨,", "님께", " 과장님", " 부장이", " 교수님의"])
def test_a_name_stands_before_an_honorific(name: str, title: str) -> None:
    assert "PERSON" in kinds_in(f"어제 {name}{title} 왔다")


@pytest.mark.parametrize(
    "word",
    ["선생님", "고객님", "사장님", "부모님", "기사님", "회원님", "담당자님", "이용자님", "하나님", "날씨가", "아저씨"],
)
def test_a_common_word_before_an_honorific_is_no_name(word: str) -> None:
    assert "PERSON" not in kinds_in(f"오늘 {word} 좋다")


def test_a_number_of_a_thing_is_no_ones() -> None:
    assert "CARD" in kinds_in("4111111111111111")
    assert "CARD" not in kinds_in("주문번호 4111111111111111")
    assert "RRN" not in kinds_in("송장번호는 900101-1234567")


def test_check_digits() -> None:
    assert is_luhn("4111 1111 1111 1111")
    assert not is_luhn("4111 1111 1111 1112")
    assert not is_luhn("0000000000000000")
    assert is_rrn("800101-1993314")
    assert not is_rrn("800101-1993315")
    assert is_frn("850412-5990593")
    assert is_brn("996-05-11445")
    assert not is_brn("123-45-67890")
    assert is_iban("GB82 WEST 1234 5698 7654 32")
    assert not is_iban("GB82 WEST 1234 5698 7654 33")


def test_folding_keeps_places() -> None:
    text = "０１０－１２３４ 가나다 \u00a0 ● 🙂"
    assert fold(text) == "010-1234 가나다   * 🙂"
    assert len(fold(text)) == len(text)


def test_of_overlapping_findings_the_most_specific_then_the_longest_stays() -> None:
    weak, long, short = Candidate("IP", 0, 9, 0.4), Candidate("PHONE", 5, 20, 0.7), Candidate("BRN", 8, 12, 0.7)
    rest = Candidate("EMAIL", 20, 25, 0.4)
    for order in ([weak, long, short, rest], [rest, short, long, weak]):
        assert without_overlaps(order) == [Found("PHONE", 5, 20), Found("EMAIL", 20, 25)]
    equal = [Candidate("BANK_ACCOUNT", 0, 9, 0.7), Candidate("PHONE", 0, 9, 0.7)]
    assert without_overlaps(equal) == [Found("PHONE", 0, 9)]


def test_words_must_be_near() -> None:
    near = Near(re.compile("계좌"), before=5, after=5)
    rule = Rule("BANK_ACCOUNT", re.compile("[0-9]{4}"), LIKELY, "계좌", near=near)
    assert list(RuleSet([rule]).findings("계좌 1234"))
    assert list(RuleSet([rule]).findings("1234 (계좌)"))
    assert not list(RuleSet([rule]).findings("계좌에 대해 말하자면 1234"))


@given(
    st.lists(st.sampled_from(["1", "23", "-", " ", ".", "010-0000-1234", "가", "a" * 60, "계좌 ", "*"]), max_size=40)
)
def test_searching_around_numbers_finds_what_searching_everywhere_finds(pieces: list[str]) -> None:
    text = "".join(pieces)
    for rule in (rule for rules in RULES.values() for rule in rules if rule.hint is NUMBER):
        around = [(start, end) for _, start, end in RuleSet([rule]).findings(text)]
        assert around == list(rule.findings(text, [(0, len(text))]))


def test_a_skeleton_has_kinds_for_pseudonyms() -> None:
    assert skeleton("<PHONE_abcdefgh23> <EMAIL>") == "<PHONE> <EMAIL>"
    assert skeleton("<PHONE_short> <OTHER_abcdefgh23>") == "<PHONE_short> <OTHER_abcdefgh23>"


def test_names_within_a_value_are_cleaned_and_none_is_lost() -> None:
    row = {"a": {"x": 1, "y": "x", "n": [True, None]}, "x": "y"}
    assert walk(row, lambda text, _name, _path: "z") == {"a": {"z": 1, "z 2": "z", "z 3": [True, None]}, "x": "z"}


def test_paths_are_made_of_cleaned_names() -> None:
    paths: list[str] = []

    def clean(_text: str, _name: str, path: str) -> str:
        paths.append(path)
        return "-"

    walk({"m": {"secret": ["v"]}}, clean)
    assert paths == ["m.*", "m.-[0]"]


def test_every_kind_has_rules_and_every_rule_a_kind() -> None:
    assert list(RULES) == list(KINDS)
    assert all(0 < rule.score <= 1 for rules in RULES.values() for rule in rules)


def test_the_recognisers_work_in_presidios_own_engine() -> None:
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpArtifacts

    from vllm_quality_tests.datasets.pii.engines import BlankNlpEngine

    engine = AnalyzerEngine(
        registry=build_registry(RULES, VERSION), nlp_engine=BlankNlpEngine(), supported_languages=[LANGUAGE]
    )
    assert isinstance(BlankNlpEngine().process_text("", LANGUAGE), NlpArtifacts)
    results = engine.analyze("메일은 hong@example.com이고 번호는 010-0000-1234입니다.", language=LANGUAGE)
    assert {(one.entity_type, one.start, one.end) for one in results} == {("EMAIL", 4, 20), ("PHONE", 27, 40)}
    assert max(one.score for one in results) == STRONG


PIECES = [
    "1", "12 ", "1-", "a", "a.", "a@", "a@b.", "-----BEGIN PRIVATE KEY-----", "eyJ", "a://:", "Mr. ", "Mr. Aa ", "김민수", ":",
    "ab:", "1.2.3.", "1234-****-", "이름은 ", "계좌 12-", "010-0000-1234-", "token=", "a [at] ", "+1",
]  # fmt: skip
LONG = f"""
from vllm_quality.datasets.pii.rule import RuleSet
from vllm_quality.datasets.pii.rules import RULES
for piece in {PIECES!r}:
    for rules in RULES.values():
        list(RuleSet(rules).findings(piece * (100_000 // len(piece))))
print("done")
"""


def test_the_time_that_rules_take_does_not_grow_with_the_square_of_a_text() -> None:
    """It is two seconds, and would be hours."""
    done = subprocess.run([sys.executable, "-c", LONG], capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout == "done\n", done.stderr
