"""One id that Teams cannot resolve must not make it call somebody else."""

import pytest

from vllm_quality.alerts.mentions import checked, entities, mention_line

ENTRA = "87d349ed-44d7-43e1-9a83-5f2406dee5bd"


@pytest.mark.parametrize(
    "identity",
    ["hana@example.com", "hana.kim+ops@sub.example.co.kr", ENTRA, ENTRA.upper(), "o'brien@example.com"],
)
def test_a_upn_or_an_entra_object_id_can_be_called(identity: str) -> None:
    assert checked([("Hana", identity)]).people == (("Hana", identity),)


@pytest.mark.parametrize(
    ("name", "identity"),
    [
        ("Ops", "LLM-Ops"),  # a channel or a tag: not callable by a webhook
        ("Ops", "29:1bSnHZ7Js2STWrgk6ScEErLk1Lp2zQuD5H2qQ960rtvstKp8tKLl-3r8b6DoW0QxZimuTxk"),  # bots only
        ("Ops", "8:orgid:" + ENTRA),
        ("Ops", ENTRA[:-1]),
        ("Ops", "ops@localhost"),
        ("Ops", "ops@@example.com"),
        ("Ops", "ops@example.com "),
        ("Ops", "한나@example.com"),
        ("Ops", "x" * 120 + "@example.com"),
        ("<at>", "a@example.com"),
        ("Ops\udcff", "o@example.com"),
        ("", "o@example.com"),
        ("x" * 200, "o@example.com"),
    ],
)
def test_what_teams_could_not_resolve_is_left_out_and_said(name: str, identity: str) -> None:
    called = checked([("A", "a@example.com"), (name, identity), ("B", ENTRA)])
    assert called.people == (("A", "a@example.com"), ("B", ENTRA))
    assert called.left_out == (name,)
    line, note = (element["text"] for element in mention_line(called, 20))
    assert line == "<at>A</at> <at>B</at>"
    assert "neither a UPN nor an Entra id" in note
    assert identity.strip() not in note


def test_each_person_is_called_once_and_by_a_name_of_their_own() -> None:
    people = [("Kim", "kim1@example.com"), ("Kim", "kim2@example.com"), ("Hana", "KIM1@example.com")]
    called = checked(people)
    assert called.people == (("Kim", "kim1@example.com"), ("Kim (kim2)", "kim2@example.com"))
    (line,) = (element["text"] for element in mention_line(called, 20))
    assert [entity["text"] for entity in entities(called, 20)] == ["<at>Kim</at>", "<at>Kim (kim2)</at>"]
    assert all(entity["text"] in line for entity in entities(called, 20))


def test_line_and_entities_have_the_same_people_in_the_same_order() -> None:
    called = checked([(f"P{index}", f"p{index}@example.com") for index in range(9)])
    (line,) = (element["text"] for element in mention_line(called, 3))
    assert line == " ".join(entity["text"] for entity in entities(called, 3))
