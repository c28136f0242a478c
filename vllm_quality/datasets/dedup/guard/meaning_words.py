"""Words on which a sentence's meaning turns, English and Korean: numbers, negations, operators, units, words that case changes.

Words are in lower case, Korean ones without their particles.
"""

from collections.abc import Mapping


def _table(lines: str) -> Mapping[str, str]:
    """Word -> value, from lines of "value: words"."""
    rows = (line.split(":") for line in lines.strip().splitlines())
    return {word: value.strip() for value, words in rows for word in words.split()}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# "Two apples" and "2 apples" say the same.
ENGLISH_NUMBERS = _table("""
0: zero
1: one first
2: two second
3: three third
4: four fourth
5: five fifth
6: six sixth
7: seven seventh
8: eight eighth
9: nine ninth
10: ten tenth
11: eleven eleventh
12: twelve twelfth dozen
13: thirteen
14: fourteen
15: fifteen
16: sixteen
17: seventeen
18: eighteen
19: nineteen
20: twenty
30: thirty
40: forty
50: fifty
60: sixty
70: seventy
80: eighty
90: ninety
100: hundred
1000: thousand
10^6: million
10^9: billion
10^12: trillion
1/2: half
1/4: quarter
1 time: once
2 times: twice double
3 times: thrice triple
12s: dozens
100s: hundreds
1000s: thousands
10^6s: millions
""")
KOREAN_NUMBERS = _table("""
0: 영
1: 하나 한 첫 첫째 첫번째
2: 둘 두 둘째
3: 셋 세 셋째
4: 넷 네 넷째
5: 다섯
6: 여섯
7: 일곱
8: 여덟
9: 아홉
11: 열하나
12: 열둘
20: 스물 스무
30: 서른
40: 마흔
50: 쉰
60: 예순
100: 백
1000: 천
10^4: 만
10^8: 억
10^12: 조
1/2: 절반
""")
# Before a counter: 세 개, 열두명.
KOREAN_COUNTED = _table("""
1: 한
2: 두
3: 세
4: 네
5: 다섯
6: 여섯
7: 일곱
8: 여덟
9: 아홉
10: 열
11: 열한
12: 열두
20: 스무
""")
HAN_NUMBERS = _table("""
0: 〇 零
1: 一
2: 二 两 兩
3: 三
4: 四
5: 五
6: 六
7: 七
8: 八
9: 九
10: 十
100: 百
1000: 千
10^4: 万 萬
10^8: 億 亿
10^12: 兆
""")
# Look like Korean numbers, and are words: an angel, a swan, …
NOT_NUMBERS = _words("천사 백조 천이 백사 천만 백일 천조 만조 억조 백천 천천")

ENGLISH_NEGATIONS = _words(
    "not no never none neither nor without nobody nothing nowhere cannot non except excluding unless hardly barely"
)
# What stands before n't: of those that change, the word itself. And how people write it in haste.
NEGATED_STEMS = _table("""
can: ca
will: wo
shall: sha
is: ai
""")
CONTRACTED = {
    f"{stem}nt": stem
    for stem in "do does did is are was were has have had would could should must".split()  # noqa: SIM905
} | {"cant": "can", "wont": "will", "cannot": "can"}
KOREAN_NEGATIONS = _words(
    "안 못 마 마라 마세요 마십시오 마시오 말고 말아 말아라 말아야 말아줘 말것 말라 말자 말기 마요 절대 결코 전혀"
)
KOREAN_NEGATION_STARTS = tuple(
    sorted(_words("않 없 아니 아닌 아닐 아님 아닙 못하 못한 못해 못할 못했 안되 안돼 안된 안될 안하 안해 안했"))
)
HAN_NEGATIONS = frozenset("不没沒無无非未勿莫否")
KANA_NEGATIONS = ("ない", "なかっ", "ません")

OPERATOR_WORDS = _table("""
+: plus added adding 더하기 더하면 더한 더해 덧셈
-: minus subtracted subtracting 빼기 빼면 뺀 빼고 뺄셈
×: times multiplied multiplying 곱하기 곱하면 곱한 곱해 곱셈
÷: divided dividing 나누기 나누면 나눈 나눠 나눗셈
=: equals equal 같다 같은
^2: squared 제곱
^3: cubed 세제곱
""")

# Without weight when the rest of two sentences is compared.
LIGHT = _words("a an the any do does did is are was were be been please there 좀 그냥 한번 제발 보세요 주세요 하세요")

# Words that are others when they are written in capitals, or with a capital.
ACRONYMS = _words("us it who aids ram sat pin act pet id ok am pm ap ai art bus cad dot led mac nasa es")
PROPER = _words(
    "may march august polish turkey china jordan chad mercury mars earth bill rose mark frank jack apple amazon windows word "
    "excel bush rice job nice reading cologne bath orange swift rust go ruby will hope grace faith dean"
)

PARTICLES = tuple(
    sorted(
        _words(
            "에서는 에게서 으로는 에서 에게 한테 부터 까지 보다 으로 이랑 처럼 마다 은 는 이 가 을 를 의 에 와 과 도 로 만 랑 께"
        ),
        key=lambda particle: (-len(particle), particle),
    )
)
# One name for particles that differ by the syllable before them only.
SAME_PARTICLE = _table("""
은: 는
이: 가
을: 를
와: 과 이랑 랑
로: 으로
에게: 한테
""")

# After a number. Units that are others in other case keep theirs.
UNITS = (
    "km/h|m/s|kWh|kcal|kHz|MHz|GHz|KiB|MiB|GiB|TiB|mph|lbs|hrs|min|sec|kg|mg|μg|ug|lb|oz|ft|yd|mi|km|cm|mm|nm|μm|um|ms|ns|us|hr|"
    "kB|KB|MB|GB|TB|PB|kb|Kb|Mb|Gb|mb|gb|tb|Hz|kW|MW|GW|mW|kV|mV|mA|mL|ml|dL|kJ|MJ|°C|°F|°|℃|℉|%|‰|g|t|m|s|h|d|L|l|W|V|A|Ω|J|K"
)
CASED_UNITS = _words("kb mb gb tb mw mv mj m k")
KOREAN_UNITS = (
    "킬로미터|센티미터|밀리미터|미터|킬로그램|밀리그램|그램|밀리리터|리터|제곱미터|퍼센트|프로|시간|개월|학년|달러|유로|"
    "시|분|초|일|주|년|월|원|엔|톤|도|평|살|세|층|회|번|배|위|등|급|점|호|명|개"
)
UNIT_WORDS = _table("""
m: meter meters metre metres
km: kilometer kilometers kilometre kilometres
cm: centimeter centimeters centimetre centimetres
mm: millimeter millimeters
mi: mile miles
inch: inch inches
ft: foot feet
yd: yard yards
g: gram grams
kg: kilogram kilograms kilo kilos
lb: pound pounds
oz: ounce ounces
ton: ton tons tonne tonnes
s: seconds
min: minute minutes
h: hour hours
day: day days
week: week weeks
month: month months
year: year years
decade: decade decades
century: century centuries
$: dollar dollars usd
€: euro euros eur
₩: krw
¥: yen jpy
cent: cent cents
%: percent percentage
°C: celsius
°F: fahrenheit
K: kelvin
byte: byte bytes
bit: bit bits
KB: kilobyte kilobytes
MB: megabyte megabytes
GB: gigabyte gigabytes
TB: terabyte terabytes
W: watt watts
V: volt volts
L: liter liters litre litres
mL: milliliter milliliters
gal: gallon gallons
tbsp: tablespoon tablespoons
tsp: teaspoon teaspoons
""")
