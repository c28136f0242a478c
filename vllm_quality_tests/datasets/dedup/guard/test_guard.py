"""The meaning guard: what must be held back, and what must not."""

import pytest

from vllm_quality.datasets.dedup.guard.guard import LEVELS, find_differences, name_differences
from vllm_quality.datasets.dedup.normal import raw_of
from vllm_quality.datasets.dedup.policy import GuardLevel


def held(one: str, other: str, level: GuardLevel = "usual") -> str:
    """The kinds of difference for which a pair is held back; "" where it is not."""
    import numpy as np

    levels = np.array([LEVELS.index(level)], dtype=np.int8)
    bits = find_differences([one, other], np.array([0]), np.array([1]), levels)
    return name_differences(int(bits[0])) if bits[0] else ""


SAY_SOMETHING_ELSE = [
    ("What is 98 plus 45?", "What is 97 plus 45?", "numbers"),
    ("What's 98 plus 45?", "What is 97 plus 45?", "numbers"),
    ("I have two apples in my bag", "I have ten apples in my bag", "numbers"),
    ("World War I ended when?", "World War II ended when?", "numbers"),
    ("Is the sky blue today?", "Is the sky not blue today?", "negation"),
    ("You can park here at night", "You can't park here at night", "negation"),
    ("You can park here at night", "You cannot park here at night", "negation"),
    ("He likes to eat fish", "He does not like to eat fish", "negation"),
    ("He likes to eat fish", "He doesnt like to eat fish", "negation"),
    ("There is a way to do this", "There is no way to do this", "negation"),
    (
        "Which answer is right? The answer is A.",
        "Which answer is right? The answer is B.",
        "option letters or variables",
    ),
    ("Compute x² + y for all x", "Compute x2 + y for all x", "operators"),
    ("What is 10² in words", "What is 102 in words", "numbers and operators"),
    ("Compute 3 * 5 and explain", "Compute 3 / 5 and explain", "operators"),
    ("Compute 3 + 5 and explain", "Compute 3 - 5 and explain", "operators"),
    ("Is 3 < 5 true here", "Is 3 > 5 true here", "operators"),
    ("What is 98 plus 45?", "What is 98 minus 45?", "operators"),
    ("What is 5! in total", "What is 5 in total", "operators"),
    ("Tell me about us", "Tell me about US", "capitals that change a word"),
    ("Is IT safe to use", "Is it safe to use", "capitals that change a word"),
    ("They speak Polish at home", "They speak polish at home", "capitals that change a word"),
    ("A beats B in the game", "B beats A in the game", "option letters or variables"),
    ("Does Kim beat Lee at chess?", "Does Lee beat Kim at chess?", "the order of their words"),
    ("Sort the list in ascending order", "Sort the list in descending order", "opposites"),
    ("The price will increase soon", "The price will decrease soon", "opposites"),
    ("Find the maximum of the list", "Find the minimum of the list", "opposites"),
    ("When was he born, exactly?", "Where was he born, exactly?", "opposites"),
    ("The meeting is on Monday", "The meeting is on Friday", "opposites"),
    ("Is it possible to do this", "Is it impossible to do this", "opposites"),
    ("Is A and B true?", "Is A or B true?", "opposites"),
    ("How far is 5 km on foot", "How far is 5 mi on foot", "units"),
    ("A file of 5 MB is large", "A file of 5 Mb is large", "units"),
    ("It costs $5 per piece", "It costs €5 per piece", "units"),
    ("The report of 2024-05-01 is missing", "The report of 2024-06-11 is missing", "dates, times or identifiers"),
    ("사과 세 개를 먹었습니다", "사과 네 개를 먹었습니다", "numbers"),
    ("이백 원을 내야 합니다", "삼백 원을 내야 합니다", "numbers"),
    ("정답은 ① 번 입니다", "정답은 ② 번 입니다", "numbers"),
    ("三人の名前を教えて", "五人の名前を教えて", "numbers"),
    ("98 더하기 45는 얼마인가요?", "98 빼기 45는 얼마인가요?", "operators"),
    ("매출이 증가한 이유는 무엇인가요?", "매출이 감소한 이유는 무엇인가요?", "opposites"),
    ("최대 값을 구하시오", "최소 값을 구하시오", "opposites"),
    ("이 문장은 참 인가요", "이 문장은 거짓 인가요", "opposites"),
    ("가능한 방법을 설명하시오", "불가능한 방법을 설명하시오", "opposites"),
    ("저는 그 음식을 먹었습니다", "저는 그 음식을 안 먹었습니다", "negation"),
    ("저는 그 음식을 먹었습니다", "저는 그 음식을 못 먹었습니다", "negation"),
    ("그는 학교에 가지 않았습니다", "그는 학교에 갔습니다", "negation"),
    ("이 약은 먹지 마세요 제발요", "이 약은 먹어 보세요 제발요", "negation"),
    ("할 수 있는 일을 말해", "할 수 없는 일을 말해", "negation"),
    ("이것은 사과가 아닙니다", "이것은 사과가 맞습니다", "negation"),
    ("정답은 가) 서울 입니다", "정답은 나) 서울 입니다", "option letters or variables"),
    ("다음 중 ㄱ 을 고르시오", "다음 중 ㄴ 을 고르시오", "option letters or variables"),
    ("철수가 영희를 이겼습니다", "영희가 철수를 이겼습니다", "the order of their words"),
    ("약은 3시간 간격으로 드세요", "약은 3분 간격으로 드세요", "units"),
]
SAY_THE_SAME = [
    ("Please explain photosynthesis to me", "Explain photosynthesis to me"),
    ("What is the capital of France?", "what is the capital of france"),
    ("WHAT IS THE CAPITAL OF FRANCE", "What is the capital of France"),
    ("How do I bake bread at home?", "How do I bake bred at home?"),
    ("Tell me a funny story about dogs", "Tell me a very funny story about dogs"),
    ("The colour of the sky", "The color of the sky"),
    ("e-mail me the report", "email me the report"),
    ("I have 2 apples in my bag", "I have two apples in my bag"),
    ("Write 1,000 words on cats", "Write 1000 words on cats"),
    ("I do not go there", "I don’t go there"),
    ("I can not go there", "I cannot go there"),
    ("The quick brown fox - it jumps", "The quick brown fox: it jumps"),
    ("List the steps: * one * two", "List the steps: - one - two"),
    ("① 서울 ② 부산", "1 서울 2 부산"),
    ("x² + 1 = 0 을 풀어라", "x^2 + 1 = 0 을 풀어라"),
    ("５ ｋｍ 를 걷는다", "5 km 를 걷는다"),
    ("서울의 날씨를 알려 주세요", "서울의 날씨를 알려주세요"),
    ("서울의 날씨를 알려줘", "서울 날씨를 알려줘"),
    ("한국의 역사를 설명해 줘", "한국의 역사를 한번 설명해 줘"),
    ("한국의 수도는 어디인가요?", "한국의 수도는 어디입니까?"),
    ("철수가 영희를 이겼습니다", "영희를 철수가 이겼습니다"),
    ("call <PHONE_abcdefghij> now", "call <PHONE_zzzzdefghi> now"),
]


@pytest.mark.parametrize(("one", "other", "kinds"), SAY_SOMETHING_ELSE)
def test_pairs_that_differ_in_meaning_only_are_held_back_and_the_kind_is_named(
    one: str, other: str, kinds: str
) -> None:
    assert held(one, other) == held(other, one) == kinds


@pytest.mark.parametrize(("one", "other"), [pair[:2] for pair in SAY_SOMETHING_ELSE])
def test_the_strict_guard_holds_back_what_the_usual_one_does(one: str, other: str) -> None:
    assert held(one, other, "strict")


@pytest.mark.parametrize(("one", "other"), SAY_THE_SAME)
@pytest.mark.parametrize("level", ["lenient", "usual", "strict"])
def test_pairs_that_say_the_same_are_not_held_back(one: str, other: str, level: GuardLevel) -> None:
    assert held(one, other, level) == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Tell me 98 plus 45 quickly", "Give the sum 98 plus 46"),
        ("Write a poem of 10 lines about the autumn wind", "Write me a nice poem of 12 lines on the autumn wind"),
    ],
)
def test_where_the_wording_differs_too_only_the_strict_guard_holds_back(one: str, other: str) -> None:
    assert held(one, other) == ""
    assert "numbers" in held(one, other, "strict")


def test_names_are_guarded_in_benchmarks_and_goldens_only() -> None:
    pair = "What is the capital of France?", "What is the capital of Greece?"
    assert held(*pair, "strict") == "names"
    assert held(*pair) == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("계란을 삶았다. 결과는 무엇인가?", "수건을 삶았다. 결과는 무엇인가?"),
        ("독일의 수도는 어디인가요?", "영국의 수도는 어디인가요?"),
        ("How do I wash a cat at home?", "How do I wash a rug at home?"),
    ],
)
def test_another_word_in_a_short_text_is_held_back_in_benchmarks_and_goldens_only(one: str, other: str) -> None:
    assert held(one, other, "strict") == "a word that stands for another"
    assert held(one, other) == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Today is 2024-05-01. How is the weather?", "Today is 2024-06-11. How is the weather?"),
        ("My order ORD-1234567 is late", "My order ORD-7654321 is late"),
        ("Remind me on May 3, 2024 to call", "Remind me on June 11, 2024 to call"),
        ("2024년 5월 1일 날씨를 알려줘", "2024년 6월 11일 날씨를 알려줘"),
        ("Log of 10:30:12 says error", "Log of 11:45:59 says error"),
    ],
)
def test_in_traffic_another_day_or_order_is_the_same_request(one: str, other: str) -> None:
    assert held(one, other, "lenient") == ""
    assert held(one, other) == held(one, other, "strict") == "dates, times or identifiers"


def test_the_lenient_guard_is_a_guard() -> None:
    assert held("What is 98 plus 45?", "What is 97 plus 45?", "lenient") == "numbers"


def test_without_a_guard_nothing_is_held_back() -> None:
    assert held("What is 98 plus 45?", "What is 97 plus 45?", "off") == ""


PASSAGE = "The river rises in the northern hills and runs for a long way through meadows and past old mills. "


@pytest.mark.parametrize("level", ["lenient", "usual", "strict"])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (PASSAGE * 3 + "Does it rise in the hills?", PASSAGE * 3 + "Are there any mills?"),
        (raw_of([PASSAGE * 3, "Summarise this page"], []), raw_of([PASSAGE * 3, "Translate it to me"], [])),
        (
            raw_of([PASSAGE * 3], ["The dog drank", "The dog slept"]),
            raw_of([PASSAGE * 3], ["The dog drank", "A cat was fed"]),
        ),
        (raw_of([PASSAGE], ["The dog drank"]), raw_of([PASSAGE], ["The dog drank", "or so"])),
    ],
)
def test_two_questions_about_one_context_are_two_questions(one: str, other: str, level: GuardLevel) -> None:
    assert held(one, other, level) == "what they ask about the same context"
    assert held(one, other, "off") == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (PASSAGE * 3 + "Does it rise in the hills?", PASSAGE * 2 + PASSAGE.upper() + "Does it rise in the hill?"),
        (raw_of([PASSAGE, "Summarise this page"], []), raw_of([PASSAGE + "It is long.", "Summarise this page!"], [])),
        (raw_of(["You are kind.", "Summarise this"], ["a bc"]), raw_of(["You're kind.", "Summarise this"], ["A bc"])),
        (PASSAGE * 3 + "It ends in the sea.", PASSAGE * 3 + "Nobody knows the rest"),
    ],
)
def test_one_question_about_nearly_one_context_is_one(one: str, other: str) -> None:
    assert held(one, other) in ("", "negation")
    assert "ask" not in held(one, other, "strict")
