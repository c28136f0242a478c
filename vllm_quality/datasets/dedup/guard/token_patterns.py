"""How tokens look."""

import re

from vllm_quality.datasets.dedup.guard import meaning_words as words

_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?"
    r"|Dec(?:ember)?)\.?"
)
_CLOCK = r"\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?(?:\s?[AaPp]\.?[Mm]\b\.?)?(?:Z\b|[+-]\d\d:?\d\d\b)?"
_MOMENT = "|".join(
    (
        r"(?=[0-9a-fA-F]{8}-)[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
        rf"\d{{4}}(?P<sep>[-/.])\d{{1,2}}(?P=sep)\d{{1,2}}(?!\d)(?:[T\s]{_CLOCK})?",
        r"\d{1,2}/\d{1,2}/\d{4}(?!\d)",
        r"(?:\d{4}년\s?)?\d{1,2}월\s?\d{1,2}일",
        rf"(?=[JFMASOND][a-z])\b{_MONTH}\s\d{{1,2}}(?:st|nd|rd|th)?(?:,?\s\d{{4}})?\b",
        rf"\b\d{{1,2}}(?:st|nd|rd|th)?\s(?:of\s)?{_MONTH}(?:,?\s\d{{4}})?\b",
        r"(?:오전|오후)\s?\d{1,2}시(?:\s?\d{1,2}분)?",
        _CLOCK,
        r"(?=[0-9a-f]{12})\b(?=[0-9a-f]*[a-f])(?=[0-9a-f]*\d)[0-9a-f]{12,}\b",
        r"\b[A-Z]{2,}-?\d{5,}\b",
        r"(?<![\d.,])\d{8,}(?![\d.,]\d)",
    )
)
TOKEN = re.compile(
    rf"""(?P<tag><[A-Z][A-Z_]+>)
    |(?P<moment>{_MOMENT})
    |(?P<number>\d+(?:,\d{{3}})+(?:\.\d+)?|\d+(?:\.\d+)?)(?:st\b|nd\b|rd\b|th\b)?
        (?:\s?(?P<unit>(?:{words.UNITS})(?![A-Za-z])|(?:{words.KOREAN_UNITS})))?
    |(?P<latin>C\+\+|[CF]\#|[A-Za-zÀ-ɏ]+(?:['’][A-Za-z]+)?)
    |(?P<hangul>[가-힣]+)
    |(?P<han>[一-鿿〇])
    |(?P<kana>[ぁ-ヿー]+)
    |(?P<jamo>(?<![ᄀ-ᇿ])[ᄀ-ᄒ](?![ᄀ-ᇿ]))
    |(?P<other>[^\W\d_]+)
    |(?P<currency>[$€£¥₩%‰°])
    |(?P<operator>\*\*|==|!=|<=|>=|=>|->|<-|&&|\|\||[+×÷±≤≥≠≈≡√∑∏∫∈∉⊂⊃⊆⊇∪∩∧∨¬∀∃⇒⇔→←↔∂∇∞^=\-−–*/⁄<>!·∙])""",
    re.VERBOSE,
)
