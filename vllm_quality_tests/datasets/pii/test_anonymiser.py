import json
import re
import subprocess
import sys
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from vllm_quality.datasets.pii.anonymiser import Anonymiser, build_anonymiser
from vllm_quality.datasets.pii.kinds import Found
from vllm_quality.datasets.schema import Item, Message
from vllm_quality_tests.datasets.pii.labelled import SPLITS, read_sentences

KEY = SecretStr("a key that nobody else has")


@cache
def keyed(dataset: str = "set") -> Anonymiser:
    return build_anonymiser(KEY, dataset)


@cache
def redacting() -> Anonymiser:
    return build_anonymiser(None, "set")


def pseudonyms(text: str, anonymiser: Anonymiser) -> list[str]:
    return re.findall(r"<[A-Z_]+_[a-z2-7]{10}>", anonymiser.text(text)[0])


def test_places_are_those_of_the_text_that_was_given() -> None:
    text = "메일은 hong@example.com이고 번호는 010-0000-1234입니다."
    written, found = redacting().text(text)
    assert written == "메일은 <EMAIL>이고 번호는 <PHONE>입니다."
    assert found == (Found("EMAIL", 4, 20), Found("PHONE", 27, 40))


@pytest.mark.parametrize(
    "same",
    [
        ("010-0000-1234", "01000001234는", "+82 10-0000-1234", "０１０．００００．１２３４", "0082-10-0000-1234"),
        ("hong@example.com", "HONG@Example.COM으로"),
        ("900101-1234567", "900101 - 1234567이다", "９００１０１－１２３４５６７"),
        ("4111-1111-1111-1111", "4111111111111111로", "4111 1111 1111 1111"),
        ("2001:db8::1 ", "2001:0DB8:0:0:0:0:0:1 "),
        ("홍길동 씨", "성함: 홍길동"),
    ],
)
def test_one_value_has_one_pseudonym_however_it_is_spelt(same: tuple[str, ...]) -> None:
    assert len({tuple(pseudonyms(text, keyed())) for text in same}) == 1
    assert len(pseudonyms(same[0], keyed())) == 1


def test_pseudonyms_are_of_a_key_a_set_and_a_kind() -> None:
    text = "010-0000-1234"
    others = [keyed("another"), build_anonymiser(SecretStr("the key of the next epoch"), "set")]
    assert len({*pseudonyms(text, keyed()), *(name for one in others for name in pseudonyms(text, one))}) == 3
    assert pseudonyms(text, build_anonymiser(KEY, "set")) == pseudonyms(text, keyed())


def test_without_a_key_the_kind_is_all_that_stays() -> None:
    assert redacting().text("제 번호는 010-0000-1234입니다")[0] == "제 번호는 <PHONE>입니다"
    assert redacting().about["replaced_by"] == "redaction"
    assert keyed().about["replaced_by"] == "pseudonyms"


def test_the_key_is_nowhere_to_be_seen() -> None:
    told = f"{keyed().about} {keyed()!r} {vars(keyed())}"
    assert KEY.get_secret_value() not in told
    assert keyed().about["key_fingerprint"] in told
    assert keyed().about["key_fingerprint"] != keyed("another").about["key_fingerprint"]


def test_about_says_what_rules_cannot_find() -> None:
    assert "addresses" in redacting().about["not_found_by_rules"]
    assert "names" in redacting().about["not_found_by_rules"]


def test_what_a_replacement_lays_bare_is_found_too() -> None:
    text = "메일 a@example.com010-0000-1234"
    written, found = redacting().text(text)
    assert written == "메일 <EMAIL><PHONE>"
    assert [text[place.start : place.end] for place in found] == ["a@example.com", "010-0000-1234"]


def test_what_was_replaced_before_is_left() -> None:
    text = "<PHONE> <EMAIL_abcdefghij>, https://example.com/?token=<URL_TOKEN_abcdefghij>"
    assert keyed().text(text) == (text, ())


def test_a_finding_takes_in_what_was_replaced_within_it() -> None:
    written, found = redacting().text("https://example.com/?password=abc<PHONE>defghij&x=1")
    assert written == "https://example.com/?password=<URL_TOKEN>&x=1" or written.count("<") == 1
    assert len(found) <= 1


FRAGMENTS = [
    *(sentence.text for split in SPLITS for sentence in read_sentences(split)[::5]),
    *("010-0000-1234", "hong@example.com", "900101-1234567", "203.0.113.7", "4111111111111111", "홍길동 씨", "계좌 "),
    *(
        "<PHONE>",
        "<EMAIL_abcdefghij>",
        "-",
        " ",
        ".",
        "@",
        "://",
        "?token=",
        "2001:db8::1",
        "Mr. Smith",
        "+82",
        ":",
        "1",
    ),
]
texts = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=6), max_size=8).map("".join)


@given(texts)
def test_anonymising_twice_is_anonymising_once(text: str) -> None:
    for anonymiser in (keyed(), redacting()):
        written, _ = anonymiser.text(text)
        assert anonymiser.text(written) == (written, ())


@given(texts)
def test_places_are_in_order_and_apart_and_everything_else_stays(text: str) -> None:
    written, found = redacting().text(text)
    at, expected = 0, ""
    for place in found:
        assert at <= place.start < place.end <= len(text)
        expected += text[at : place.start] + f"<{place.kind}>"
        at = place.end
    assert written == expected + text[at:]


def test_an_item_has_all_its_texts_anonymised() -> None:
    phone, mail = "010-0000-1234", "hong@example.com"
    item = Item(
        dataset="set",
        language="ko",
        role="traffic",
        messages=(Message("system", f"담당 {mail}"), Message("user", f"{phone}로 전화해")),
        reference=f"네, {phone}입니다",
        choices=(phone, "아니요"),
        metadata=json.dumps({"contact": {"mail": [mail, 3]}, "계좌번호": "110-000-123456", mail: "x"}),
        source_file="rows.jsonl",
        source_line=7,
    )
    made, counts = keyed().item(item)
    assert counts == {"BANK_ACCOUNT": 1, "EMAIL": 2, "PHONE": 3}
    stored = json.dumps(made.as_row(), ensure_ascii=False)
    assert phone not in stored
    assert "110-000" not in stored
    assert made.source_line == 7
    assert json.loads(made.metadata)["contact"]["mail"][1] == 3
    assert keyed().item(made) == (made, {})
    assert made.id != item.id


OFFLINE = """
import sys, tempfile
def refuse(event, args):
    if event.startswith(("socket.connect", "socket.getaddrinfo", "socket.bind")):
        raise RuntimeError(event)
sys.addaudithook(refuse)
import vllm_quality.datasets.pii.anonymiser as module
assert not {"presidio_analyzer", "spacy", "tldextract", "phonenumbers"} & set(sys.modules)
from pydantic import SecretStr
from vllm_quality_tests.datasets.pii.labelled import SPLITS, read_sentences
anonymiser = module.build_anonymiser(SecretStr("0123456789abcdef"), "set")
print(sum(len(anonymiser.text(one.text)[1]) for split in SPLITS for one in read_sentences(split)) > 250)
"""


def test_nothing_is_fetched_and_nothing_heavy_is_imported_early() -> None:
    done = subprocess.run([sys.executable, "-c", OFFLINE], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "True\n", done.stderr
