"""Names of people, where a word beside them tells that they are: 홍길동 씨, 성함: 홍길동, Mr. Smith, my name is Smith.

What stands before 님 is mostly no name (고객님, 기사님), so a name has three syllables there, a surname first, and is none of
the words in `common_words`. Bare names are not looked for: without a model of the language they are words like others.
Nor are those with titles of the stage, of sport and of politics, which are public and what many questions are about.
"""

import re

from vllm_quality.datasets.pii.common_words import NO_NAME_EN, NO_NAME_KO
from vllm_quality.datasets.pii.rule import LIKELY, WEAK, Rule

_SURNAMES = (
    "김이박최정강조윤장임한오서신권황안송류유전홍고문양손배백허남심노하곽성차주우구민진지엄채원천방공현함변염여추도소"
    "석선설마길연위표명기반왕금옥육인맹제모탁국어은편용"
)
_TWO_SYLLABLES = "남궁|황보|제갈|선우|독고|사공|서문"
# Syllables that given names are made of; of the two thousand that texts are made of.
_GIVEN = (
    "가강건경관광교구국권규균근금기길나남노다단달담대덕도돈동두라란래려련령례로록룡루륜률리린림마만매명모무문미민방배백범"
    "벽별병보복봄봉부분비빈빛사산삼상새샘서석선설섭성세소솔송수숙순술슬승시식신실심쌍아안애양언엄여연열염엽영예오옥온완요용"
    "우욱운웅원월위유육윤율융은을음의이익인일임자장재전점정제조종주준중지진찬창채천철초총춘출충치칠탁태택평표풍필하학한해"
    "향헌혁현협형혜호홍화환회효후훈휘흠흥희늘"
)
_THREE = f"(?:(?:{_TWO_SYLLABLES})[{_GIVEN}]{{1,2}}|[{_SURNAMES}][{_GIVEN}]{{2}})"
_NAME = f"(?:{_THREE}|[{_SURNAMES}][{_GIVEN}])"
_BEGINS = "(?<![가-힣])"
_PARTICLES = (
    "은|는|이|가|을|를|의|에게|에게서|께|께서|께서는|와|과|도|만|이랑|랑|하고|한테|으로|로|이고|고|이며|며|이라고|라고|이라는|라는|"
    "입니다|이에요|예요|이고요|고요|인데|인데요|이다|이라|라|씨|님|처럼|보다|부터|까지"
)
_ENDS = rf"(?=(?:{_PARTICLES})?(?![가-힣]))"
_NO_ROOM = (
    "(?<![학부팀과한])"  # 지리학 교수, 인사부 과장, 우수한 고객님: what they teach, where they work, how they are
)
_TITLES = (
    "과장|부장|차장|대리|사원|주임|팀장|실장|본부장|상무|전무|이사|대표|회장|사장|부사장|점장|매니저|책임|선임|수석|교수|박사|"
    "선생|고객|회원|환자|선배|후배|원장|변호사|회계사|세무사|노무사|법무사|의사|간호사|약사|판사|검사|기자|목사|조교|연구원|주무관|사무관|경위|경사|학생"
)
_TITLES_ALONE = (
    "과장|부장|차장|대리|주임|팀장|실장|본부장|상무|전무|부사장|매니저|교수|박사|원장|변호사|회계사|세무사|노무사|법무사|"
    "간호사|약사|판사|기자|조교|주무관|사무관|할머니|할아버지|어르신|아주머니"
)
_LABELS = (
    "이름|성함|성명|예금주|수령인|수취인|받는 ?사람|받는 ?분|보내는 ?사람|보내는 ?분|고객명|고객 ?이름|환자명?|환자 ?이름|보호자|"
    "신청인|신청자|대표자|계약자|담당자|작성자|주문자|임차인|임대인|피보험자|참석자|name"
)

_CAPITAL = r"(?:[A-Z]['’][A-Z][a-z]+|[A-Z][a-z]+(?:['’-][A-Z][a-z]+)*|[A-Z]\.)"
_PARTICLE_EN = r"(?:van|von|de|der|den|da|di|del|la|le|al|bin|ten)"
_NAME_EN = rf"(?:{_PARTICLE_EN} ){{0,2}}{_CAPITAL}(?: (?:{_PARTICLE_EN} ){{0,2}}{_CAPITAL}){{0,3}}"
_HONORIFIC = r"(?<![A-Za-z])(?:Mr|Mrs|Ms|Mx|Miss|Dr|Prof|Professor)\.? "
_NOT_CUT = r"(?![A-Za-z])"


def _is_name(value: str) -> bool:
    """Whether it is none of the words that are none, nor one of them with a particle: 여자가."""
    return value not in NO_NAME_KO and not (value[-1] in "은는이가을를의도만" and value[:-1] in NO_NAME_KO)


def _is_english_name(value: str) -> bool:
    words = value.lower().replace(".", "").split()
    return not any(word in NO_NAME_EN for word in words)


def _ko(body: str, hint: str, score: float = LIKELY) -> Rule:
    return Rule("PERSON", re.compile(body), score, re.compile(hint), _is_name)


def _en(body: str, hint: str, score: float = LIKELY) -> Rule:
    return Rule("PERSON", re.compile(body, re.MULTILINE), score, re.compile(hint), _is_english_name)


RULES = (
    _ko(rf"{_BEGINS}(?P<value>{_THREE}|{_NAME}(?= ?씨)) ?씨{_ENDS}", "씨"),
    _ko(rf"{_BEGINS}(?P<value>{_THREE}) ?님(?=(?:들|{_PARTICLES})?(?![가-힣]))", "님"),
    _ko(rf"{_BEGINS}(?P<value>{_THREE}){_NO_ROOM} ?(?:{_TITLES})님", "님"),
    _ko(rf"{_BEGINS}(?P<value>{_THREE}){_NO_ROOM} ?(?:{_TITLES_ALONE}){_ENDS}", _TITLES_ALONE),
    _ko(rf"{_BEGINS}(?:{_LABELS})[\"']?(?:은|는)? ?[:=|]? ?[\"']?(?P<value>{_THREE}){_ENDS}", _LABELS),
    _ko(rf"{_BEGINS}(?:{_LABELS})[이가] (?P<value>{_THREE})(?=이고|입니다|이다|이라|인)", _LABELS),
    _ko(
        rf"{_BEGINS}(?:{_LABELS})(?:은|는| ?[:=]) ?(?P<value>{_NAME})(?=$|\s*[,/\n]|입니다|이에요|예요|이고|이라고)",
        _LABELS,
        WEAK,
    ),
    _ko(
        rf"(?:저는|제가|나는|안녕하세요[,.!]?) (?P<value>{_THREE})(?= ?입니다|이라고|라고|이에요|예요|이고|인데)",
        "저는|제가|나는|안녕하세요",
    ),
    _en(rf"{_HONORIFIC}(?P<value>{_NAME_EN}){_NOT_CUT}", "Mr|Ms|Mx|Miss|Dr|Prof"),
    _en(rf"(?<![A-Za-z])[Mm]y (?:full )?name is (?P<value>{_NAME_EN}){_NOT_CUT}", "name is"),
    _en(rf"^[ \t]*Dear (?P<value>{_NAME_EN}),", "Dear"),
    _en(rf"(?<![A-Za-z])(?:[Ff]ull )?[Nn]ame: ?(?P<value>{_CAPITAL}(?: {_CAPITAL}){{1,3}}){_NOT_CUT}", "ame:"),
    _en(
        rf"(?:[Rr]egards|[Ss]incerely|[Cc]heers),?\s{{1,4}}(?P<value>{_CAPITAL}(?: {_CAPITAL}){{1,2}})[ \t]*$",
        "egards|incerely|heers",
    ),
)
