"""Words beside a value that tell what it is, or what it isn't."""

import re


def words(*alternatives: str) -> re.Pattern[str]:
    """A pattern of words, in capitals or not; those of ASCII letters as whole words."""
    whole = [rf"(?<![A-Za-z]){word}(?![A-Za-z])" if word.isascii() else word for word in alternatives]
    return re.compile("|".join(whole), re.IGNORECASE)


def _right_before(nouns: str) -> re.Pattern[str]:
    return re.compile(
        rf"(?:{nouns})\s?(?:번호|코드|no\.?|number|code|id)?\s?(?:은|는|이|가)?\s?[:#=]{{0,2}}\s?$", re.IGNORECASE
    )


# Numbers of things: what stands right behind them is no person's.
THING = _right_before(
    "주문|운송장|송장|예약|접수|상품|제품|모델|모델명|바코드|시리얼|일련|문서|특허|사건|관리|품번|부품|"
    "order|invoice|tracking|serial|imei|isbn|barcode|sku|model|part|ticket|case|item|doi|build"
)
PHONE = words(
    "전화", "연락", "휴대폰", "휴대전화", "핸드폰", "폰번호", "팩스", "내선", "문의", "문자", "통화", "번호로",
    "tel", "tel.", "phone", "telephone", "mobile", "cell", "call", "fax", "dial", "hp", "text", "sms", "whatsapp", "ring",
    "number is", "number's",
)  # fmt: skip
RESIDENT = words("주민", "등록번호", "외국인", "rrn", "frn", "resident", "registration", "alien")
BUSINESS = words("사업자", "등록번호", "공급자", "공급받는", "brn", "business", "registration")
PASSPORT = words("여권", "passport")
LICENCE = words("면허", "driver'?s? licen[cs]e", "driving licen[cs]e", "dl no")
SOCIAL = words("사회보장", "ssn", "social security")
CARD = words("카드", "card", "visa", "mastercard", "amex", "결제")
MAIL = words("메일", "mail", "e-mail", "email", "연락", "contact", "회신")
ADDRESS = words(
    "아이피", "주소", "서버", "호스트", "접속", "차단", "방화벽", "공유기", "라우터", "게이트웨이", "포트", "핑",
    "ip", "ipv4", "address", "addr", "host", "server", "ping", "ssh", "dns", "from", "client", "peer", "curl", "router",
    "gateway", "firewall", "nslookup", "traceroute", "telnet",
)  # fmt: skip
_BANKS = "국민|신한|우리|하나|기업|산업|제일|부산|대구|광주|전북|경남|제주|토스|케이|씨티|카카오|IBK|KB|NH|KDB|SC|iM"
BANK = re.compile(
    r"계좌|은행|뱅크|카뱅|예금주|입금|송금|이체|농협|수협|신협|새마을금고|우체국|환불|"
    r"(?<![A-Za-z])(?:account|acct|a/c|bank)(?![A-Za-z])"
    rf"|(?<![가-힣A-Za-z])(?:{_BANKS})(?=[ :(]*$)",
    re.IGNORECASE,
)
BANK_BEHIND = re.compile(rf"[ (]*(?:{_BANKS})(?![가-힣A-Za-z])", re.IGNORECASE)
# What stands before or behind four numbers with dots between when they are a version or a heading.
VERSION_BEFORE = re.compile(
    r"(?:(?<![A-Za-z])(?:v|ver|version|release|rev|revision|build|firmware|section|chapter|clause)\.?|버전|펌웨어|릴리스|[=<>~!]=|"
    r"[A-Za-z][\w+-]*/|제|§|그림|표|and|,\s?\d[\d.]*\s?)\s?[:=]?\s?$",
    re.IGNORECASE,
)
