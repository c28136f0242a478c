"""Words that say the opposite of each other, or one of several things: increase and decrease, 증가 and 감소, Monday and Friday."""

from collections.abc import Mapping

# Each line is a class: words on one side of "|" say the same, those on different sides do not.
_ENGLISH_OPPOSITES = """
increase increases increased increasing rise rises rising rose grow grows growing grew | decrease decreases decreased decreasing reduce reduces reduced reducing decline declines declining declined shrink shrinks drop drops dropped dropping
more | less fewer
most | least fewest
max maximum maximal maximize maximise maximizes maximizing | min minimum minimal minimize minimise minimizes minimizing
largest biggest greatest | smallest
larger bigger greater | smaller lesser
large big huge | small little tiny
highest | lowest
higher | lower
high | low
longest | shortest
longer | shorter
long | short
before | after
earlier | later
early | late
true | false
correct accurate correctly | incorrect wrong inaccurate incorrectly
always | sometimes | often | rarely seldom
all every | some | only
best | worst
better | worse
good | bad
positive | negative
left | right
up | down
top | bottom
above | below
over | under
inside | outside
on | off
open opens opened opening | close closes closed closing
start starts started begin begins began starting beginning | stop stops stopped end ends ended finish finishes finished ending
enable enables enabled enabling | disable disables disabled disabling
allow allows allowed permit permitted | forbid forbids forbidden deny denied prohibit prohibited
include includes including included | exclude excludes excluded
and | or
both | either
buy buys bought buying | sell sells sold selling
buyer | seller
send sends sent sending | receive receives received receiving
import imports importing | export exports exporting
input inputs | output outputs
encode encoding | decode decoding
encrypt encryption encrypting | decrypt decryption decrypting
upload uploading | download downloading
push | pull
add adds insert append | remove removes delete subtract
multiply multiplies | divide divides
accept accepts accepted | reject rejects rejected
agree agrees | disagree disagrees
like likes love loves | dislike dislikes hate hates
man men male boy boys | woman women female girl girls
he him his | she her hers
husband | wife
father dad | mother mom mum
son sons | daughter daughters
brother brothers | sister sisters
hot hotter | cold colder
fast faster quick quickly | slow slower slowly
young younger | old older
new newer | former
rich | poor
safe | unsafe dangerous
legal lawful | illegal unlawful
possible | impossible
valid | invalid
able | unable
likely | unlikely
known | unknown
even | odd
prime | composite
win wins won winning | lose loses lost losing
pass passes passed passing | fail fails failed failing
success successful | failure unsuccessful
advantage advantages pros benefits strengths | disadvantage disadvantages cons drawbacks weaknesses
cause causes | effect effects
north northern | south southern | east eastern | west western
monday | tuesday | wednesday | thursday | friday | saturday | sunday
january jan | february feb | march | april apr | may | june jun | july jul | august aug | september sep sept | october oct | november nov | december dec
morning | afternoon | evening | night
today | yesterday | tomorrow
spring | summer | autumn | winter
past | present | future
who whom | what | when | where | why | how | which
ascending | descending
horizontal horizontally | vertical vertically
row rows | column columns
public | private
internal | external
major | minor
majority | minority
upper | bottommost
sum | difference | product | quotient
average mean | median | mode
numerator | denominator
area | perimeter | volume | circumference
radius | diameter
sine sin | cosine cos | tangent tan
parallel | perpendicular
acid acidic | alkaline basic
singular | plural
synonym synonyms | antonym antonyms
english | korean | japanese | chinese | french | german | spanish | italian | russian | portuguese | arabic | vietnamese
python | java | javascript | typescript | kotlin | swift | rust | ruby | php | scala | perl | c++ | c#
red | blue | green | yellow | black | white | purple | brown | pink | gray grey
"""

# A Korean word belongs to a class when it begins with one of the first table (longest first) or, without its particle, is one
# of the second.
_KOREAN_STARTS = """
증가 늘어 늘리 늘린 | 감소 줄어 줄이 줄인
최대 최댓값 | 최소 최솟값
최고 | 최저 최악
가장큰 | 가장작은
높 | 낮
많 | 적은 적게 적다 적을
길다 긴 길이가 | 짧
빠르 빠른 빨리 | 느리 느린 천천히
이상 | 이하 | 초과 | 미만
이전 | 이후
상승 오르 올라 | 하락 내리 내려
긍정 | 부정
장점 강점 | 단점 약점
찬성 동의 | 반대
성공 | 실패
합법 | 불법
가능 | 불가능
정상 | 비정상
적절 | 부적절
적합 | 부적합
공정 | 불공정
완전 | 불완전
필요 | 불필요
충분 | 불충분 부족
포함 | 제외
허용 허가 | 금지 불허
켜기 켜는 켜고 켜줘 켜려 켜야 | 끄기 끄는 끄고 꺼줘 끄려 꺼야
시작 | 종료 끝나 끝내 끝난
옳 맞는 맞은 맞습 맞다 맞아 올바른 올바르게 | 틀린 틀리 잘못
남자 남성 | 여자 여성
아버지 | 어머니
아들 | 딸
남편 | 아내
구매 매수 | 판매 매도
수입 | 수출
입력 | 출력
암호화 | 복호화
업로드 | 다운로드
추가 | 삭제 제거
승리 이긴 이겼 이기 | 패배 졌다 패한
합격 | 불합격 탈락
원인 | 결과
동쪽 | 서쪽 | 남쪽 | 북쪽
왼쪽 | 오른쪽
월요일 | 화요일 | 수요일 | 목요일 | 금요일 | 토요일 | 일요일
오전 | 오후
어제 | 오늘 | 내일
작년 | 올해 | 내년
지난 | 다음
과거 | 현재 | 미래
누가 누구 | 무엇 | 언제 | 어디 | 어떻게 | 얼마
영어 | 한국어 | 일본어 | 중국어 | 프랑스어 | 독일어 | 스페인어 | 베트남어
그리고 | 또는 혹은
모두 모든 | 일부
항상 언제나 | 가끔
홀수 | 짝수
오름차순 | 내림차순
가로 | 세로
분자 | 분모
넓이 면적 | 둘레 | 부피
반지름 | 지름
평균 | 중앙값 | 최빈값
내부 | 외부
장기 | 단기
직접 | 간접
국내 | 국외 해외
공개 | 비공개
유료 | 무료
존댓말 | 반말
"""
_KOREAN_WORDS = """
큰 크다 큰지 | 작은 작다 작은지
위 | 아래
앞 | 뒤
전 | 후
합 | 차 | 곱 | 몫
봄 | 여름 | 가을 | 겨울
아침 | 점심 | 저녁 | 밤
참 | 거짓
왜 | 뭐
몇 | 어떤 어느
"""


def _classes(table: str, prefix: str) -> dict[str, tuple[str, str]]:
    """Word -> (class, side). Raises `ValueError` for a word that is there twice."""
    found: dict[str, tuple[str, str]] = {}
    for number, line in enumerate(table.strip().splitlines()):
        for side, words in enumerate(line.split("|")):
            for word in words.split():
                if word in found:
                    raise ValueError(f"{word!r} is there twice.")
                found[word] = (f"{prefix}{number}", str(side))
    return found


OPPOSITES: Mapping[str, tuple[str, str]] = _classes(_ENGLISH_OPPOSITES, "en") | _classes(_KOREAN_WORDS, "ko")
OPPOSITE_STARTS: Mapping[str, tuple[str, str]] = _classes(_KOREAN_STARTS, "ko-")
LONGEST_START = max(map(len, OPPOSITE_STARTS))
