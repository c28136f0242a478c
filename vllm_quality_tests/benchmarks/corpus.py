"""Texts for the deduplication benchmark: English and Korean, a fifth of them planted edits of another one. Seeded.

Sentences are Markov chains over made-up vocabularies with a Zipf-like head of real function words, so that unrelated texts
share about as many character 4-grams as prose does (Jaccard .07 in English, .01 in Korean). Three in ten texts begin with
one of twenty phrases per language. An edit has a target distance and a kind: `scatter` (single characters, uniformly),
`word` (whole words), `block` (the beginning, middle or end is written anew).
"""

import random
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["scatter", "word", "block"]
KINDS: Sequence[Kind] = ("scatter", "word", "block")
TARGETS = (0.05, 0.10, 0.15, 0.195, 0.25, 0.40)
_PLANTED, _OPENED, _OPENINGS = 0.2, 0.3, 20
_MEAN_LOG, _SIGMA_LOG = 4.01, 0.57  # words per text
_FEWEST, _MOST = 20, 200

_FUNCTION = (
    "the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which one "
    "you were all her she there would their we him been has when who will no more if out so said what up its about into "
    "than them can only other new some could time these two may then do first any my now such like our over man me even "
    "most made after also did many before must through back years where much your way well down should because each just"
)
_STEMS = (
    "act add adapt align alloc answer arrange assert assign attach balance batch bench bind block bound branch bridge buffer "
    "build cache call cast chain charge check class clear client close cluster code collect column commit compare compile "
    "compute config connect consist construct contain content context control convert copy correct count cover create cross "
    "curve data deal debug decide decode define degree delay deliver depend deploy describe design detect develop differ "
    "direct display distribut divide document domain draw drive drop edge edit effect element embed enable encode end engine "
    "ensure enter equal error estimat evaluat event exact example except exchange execut exist expect explain export express "
    "extend extract factor fail fetch field figure file fill filter find finish fix float flow fold follow force form format "
    "forward frame function gain gather general generat global govern graph group grow guard guide handle hash header heap "
    "hold host human image impact implement import improve include increase index infer inform inherit input insert inspect "
    "install instance integrat intend interact interest internal interpret invok iterat join judge jump keep kernel key label "
    "language latent launch layer layout lead learn length level library limit linear link list load local lock loop machine "
    "manage map mark market mask match matrix measure member memory merge message method metric migrat mirror mode model "
    "modify module monitor mount move multipl name native network node normal note number object observ offer offset open "
    "operat optimi order origin output overlap own pack page pair parallel parse part partition pass patch path pattern "
    "perform period permit phase pipe place plan plot point policy pool port position power practice predict prefer prepare "
    "present press prevent print process produc program project promis protect protocol prove provid publish purpose push "
    "quantit query question queue random range rank rate reach read real reason record recover reduc refer region register "
    "regress relat releas remain remot remov render repeat replac report represent request requir research reserv reset "
    "resolv resourc respond rest result retain return review revis root rotat round rout row rule run sampl sav scal scan "
    "schedul scop scor scrap screen search secur select send separat sequenc serial serv session set shap shar shift show "
    "side sign simpl siz skip slic slot smooth solv sort sourc space span speak specif speed split stack stag standard start "
    "stat step stor stream strict string structur studi style subject submit success suggest suit summar suppl support "
    "surfac switch symbol sync system tabl tag target task teach tensor term test text thread threshold tim token tool topic "
    "total trac track train transfer transform translat travel tree trigger trust tun turn type union uniqu unit updat upload "
    "us valid valu variab vari vector verif version view virtual visit volum wait warn watch weight win window word work "
    "worker wrap writ yield zon"
)
_ENDINGS = (
    " ",
    "s ",
    "ed ",
    "ing ",
    "er ",
    "ers ",
    "ion ",
    "ment ",
    "able ",
    "al ",
    "ly ",
    "ness ",
    "ive ",
    "ity ",
    "or ",
)
_NOUNS = (
    "학교 정부 국회 법률 대통령 시장 회사 노동 권리 의무 국민 헌법 재판 법원 판결 선거 지방 자치 교육 문화 예술 과학 기술 연구 개발 경제 산업 농업 "
    "어업 무역 은행 금융 보험 세금 예산 결산 회계 감사 군인 경찰 소방 병원 의사 환자 약국 건강 환경 보호 에너지 전기 가스 수도 도로 철도 항공 선박 "
    "통신 방송 신문 언론 출판 종교 가족 혼인 아동 청소년 노인 장애 복지 연금 주택 토지 건물 임대 계약 소유 재산 상속 범죄 형벌 수사 증거 증인 변호 "
    "서울 부산 대구 인천 광주 대전 울산 경기 강원 충청 전라 경상 제주 바다 하늘 나무 구름 바람 햇빛 겨울 여름 가을 아침 저녁 음식 식당 커피 우유 "
    "과일 채소 고기 생선 운동 축구 야구 수영 등산 여행 사진 영화 음악 노래 그림 소설 시인 작가 독자 질문 대답 설명 문제 해결 방법 이유 결과 원인 "
    "모델 학습 추론 평가 자료 문장 단어 언어 번역 요약 검색 저장 서버 요청 응답 지연 처리 성능 품질 비교 측정 기준 점수 오류 경고 배포 버전 설정"
)
_JOSA = (
    "은",
    "는",
    "이",
    "가",
    "을",
    "를",
    "에",
    "의",
    "로",
    "와",
    "도",
    "만",
    "에서",
    "까지",
    "부터",
    "보다",
    "에게",
    "으로",
    "처럼",
    "마다",
)
_SYLLABLES_EN = "ba be bi bo ca ce co cu da de di do el en er fa fi fo ga ge go gra ha he ho il in ir ja ka ki la le li lo ma me mi mo na ne ni no or pa pe pi pla po pro qua ra re ri ro sa se si so sta ta te ti to tra tu ul un ur va ve vi vo wa we wi"
_SYLLABLES_KO = "가 각 간 감 강 개 거 건 검 결 경 계 고 공 과 관 광 교 구 국 군 권 귀 규 근 금 급 기 길 나 남 내 노 농 능 다 단 담 당 대 도 독 동 등 락 란 람 량 력 련 령 례 로 록 론 료 류 률 리 림 마 만 망 매 면 명 모 목 무 문 물 미 민 밀 박 반 발 방 배 백 번 범 법 변 별 병 보 복 본 부 북 분 불 비 사 산 상 색 생 서 석 선 설 성 세 소 속 손 송 수 순 술 습 승 시 식 신 실 심 아 안 압 액 야 약 양 어 언 업 여 역 연 열 염 영 예 오 온 옥 완 왕 외 요 용 우 운 원 월 위 유 육 윤 은 음 응 의 이 인 일 임 입 자 작 장 재 저 적 전 절 점 정 제 조 족 종 좌 주 중 증 지 직 진 질 집 차 창 채 책 처 천 철 청 체 초 촉 총 최 추 축 출 충 치 친 침 타 탁 탄 탐 태 토 통 투 특 파 판 패 편 평 폐 포 표 품 풍 필 하 학 한 할 함 합 항 해 행 향 허 험 현 혈 협 형 호 혼 홍 화 확 환 활 황 회 효 후 훈 휘 흥 희"
_VERBS = "만들 보내 받아들이 지키 바꾸 고치 세우 나누 모으 옮기 알리 배우 가르치 느끼 기다리 생각하 말하 시작하 끝내 줄이 늘리 높이 낮추 밝히 정하 따르 맡기 이루 살피 찾"
_TAILS = (
    "고 ",
    "며 ",
    "면 ",
    "는 ",
    "어야 ",
    "었다. ",
    "는다. ",
    "ㄹ 수 있다. ",
    "지 않는다. ",
    "려고 ",
    "도록 ",
    "기 때문에 ",
    "는데 ",
    "거나 ",
)


@dataclass(frozen=True)
class Planted:
    """An edited copy: which text it is, of which, how, and at which intended distance."""

    copy: int
    base: int
    kind: Kind
    target: float


@dataclass(frozen=True)
class Corpus:
    """Texts and what was planted in them."""

    texts: list[str]
    planted: list[Planted]


class Language:
    """A Markov chain over a vocabulary: every word has a few that usually follow it."""

    def __init__(self, words: Sequence[str], draw: random.Random) -> None:
        self._words = words
        weights = [1 / (rank + 3) for rank in range(len(words))]
        drawn = draw.choices(range(len(words)), weights, k=len(words) * 24)
        self._next = [drawn[at * 24 : at * 24 + 24] for at in range(len(words))]
        self.openings = [self.text(15 + at % 6, draw) for at in range(_OPENINGS)]

    def text(self, words: int, draw: random.Random) -> str:
        """So many words."""
        at = draw.randrange(len(self._words))
        said = []
        for _ in range(words):
            said.append(self._words[at])
            # A third of the steps leave the beaten path.
            at = (
                self._next[at][int(24 * draw.random() ** 1.5)]
                if draw.random() < 0.6
                else draw.randrange(len(self._words))
            )
        return "".join(said).strip()


def english(draw: random.Random) -> Language:
    """English-like: function words first, then stems with endings and made-up ones."""
    syllables = _SYLLABLES_EN.split()
    stems = [*_STEMS.split(), *("".join(draw.choices(syllables, k=draw.randint(2, 3))) for _ in range(3000))]
    made = [stem + ending for stem in stems for ending in draw.sample(_ENDINGS, 3)]
    draw.shuffle(made)
    return Language([word + " " for word in _FUNCTION.split()] + made, draw)


def korean(draw: random.Random) -> Language:
    """Korean-like: nouns, made-up ones among them, with particles; verbs with endings."""
    syllables = _SYLLABLES_KO.split()
    nouns = [*_NOUNS.split(), *("".join(draw.choices(syllables, k=draw.randint(2, 3))) for _ in range(6000))]
    made = [noun + draw.choice(_JOSA) + " " for noun in (*nouns[:200], *nouns)]
    made += [verb + tail for verb in _VERBS.split() for tail in draw.sample(_TAILS, 5)]
    draw.shuffle(made)
    return Language(made, draw)


def make_corpus(size: int, seed: int = 1, words: Callable[[random.Random], int] | None = None) -> Corpus:
    """So many texts, half of them English, in an order that tells nothing; deterministic in size and seed."""
    draw = random.Random(seed)
    languages = (english(draw), korean(draw))
    length = words or _words
    texts: list[str] = []
    planted: list[Planted] = []
    first_copy = size - int(size * _PLANTED)
    for at in range(size):
        language = languages[at % 2]
        if at < first_copy:
            opening = draw.choice(language.openings) + " " if draw.random() < _OPENED and words is None else ""
            texts.append(opening + language.text(length(draw), draw))
        else:
            base, kind, target = draw.randrange(first_copy), draw.choice(KINDS), draw.choice(TARGETS)
            texts.append(edited(texts[base], kind, target, languages[base % 2], draw))
            planted.append(Planted(at, base, kind, target))
    place = list(range(size))
    draw.shuffle(place)
    mixed = [""] * size
    for at, to in enumerate(place):
        mixed[to] = texts[at]
    return Corpus(mixed, [Planted(place[one.copy], place[one.base], one.kind, one.target) for one in planted])


def _words(draw: random.Random) -> int:
    return min(max(round(draw.lognormvariate(_MEAN_LOG, _SIGMA_LOG)), _FEWEST), _MOST)


def edited(text: str, kind: Kind, target: float, language: Language, draw: random.Random) -> str:
    """The text with about `target` of its characters changed."""
    if kind == "scatter":
        return _scattered(text, target, draw)
    fresh = language.text(400, draw)
    if kind == "block":
        size = max(1, round(len(text) * target))
        start = draw.choice((0, len(text) - size, draw.randrange(len(text) - size + 1)))
        return text[:start] + fresh[:size] + text[start + size :]
    words, others = text.split(), fresh.split()
    changed = 0
    while changed < target * len(text) and len(words) > 1:
        at = draw.randrange(len(words))
        way = draw.randrange(3)
        if way == 0:
            changed += len(words.pop(at)) + 1
            continue
        other = draw.choice(others)
        changed += max(len(words[at]), len(other)) if way == 1 else len(other) + 1
        words[at : at + 1] = [other] if way == 1 else [other, words[at]]
    return " ".join(words)


def _scattered(text: str, target: float, draw: random.Random) -> str:
    letters = list(text)
    alphabet = text
    for at in draw.sample(range(len(letters)), round(len(letters) * target)):
        letters[at] = draw.choice(("", draw.choice(alphabet), letters[at] + draw.choice(alphabet)))
    return "".join(letters)


def short_texts(size: int, seed: int = 1) -> Corpus:
    """Prompts of up to about 64 characters."""
    return make_corpus(size, seed, words=lambda draw: draw.randint(2, 9))


def templates(size: int, seed: int = 1) -> list[str]:
    """Texts that differ in two numbers: all of them near one another, none a duplicate of another in meaning."""
    draw = random.Random(seed)
    story = "A farmer has {} apples and buys {} more at the market on the way home from the village. How many apples are there?"
    return [story.format(draw.randrange(10, 100_000), draw.randrange(10, 100_000)) for _ in range(size)]


def decomposed(texts: Sequence[str]) -> list[str]:
    """NFD twins: the same to a reader, far away in code points until they are normalised."""
    return [unicodedata.normalize("NFD", text) for text in texts]
