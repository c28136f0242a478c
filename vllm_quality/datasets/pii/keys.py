"""Keys of services, by the form that each gives them, and by what they are called where they have none."""

import re
from collections.abc import Callable

from vllm_quality.datasets.pii.checks import is_encoded, is_filled_in, is_random
from vllm_quality.datasets.pii.rule import LIKELY, Hint, Rule

_CHAR = r"[A-Za-z0-9_-]"
_SK = re.compile(
    rf"(?<![A-Za-z0-9_-])sk-{_CHAR}{{20,512}}(?![A-Za-z0-9])"
)  # OpenAI, Anthropic, OpenRouter, DeepSeek, LiteLLM
_FORMS = (
    r"(?:AKIA|ASIA|AROA|AIDA|AGPA|ANPA|ABIA|ACCA)[A-Z0-9]{16}",  # AWS
    rf"AIza{_CHAR}{{35}}|ya29\.{_CHAR}{{20,512}}|GOCSPX-{_CHAR}{{28}}",  # Google
    r"gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{40,255}",
    rf"gl(?:pat|rt|dt|cbt|ptt|ft|soat|agent|imt|oas)-{_CHAR}{{20,255}}",  # GitLab
    r"hf_[A-Za-z0-9]{30,64}|api_org_[A-Za-z0-9]{30,64}",  # Hugging Face
    r"xox[abeoprs]-[A-Za-z0-9-]{10,255}|xapp-[0-9]-[A-Za-z0-9-]{10,255}",  # Slack
    r"(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,255}|whsec_[A-Za-z0-9+/=]{24,128}",  # Stripe
    rf"npm_[A-Za-z0-9]{{36}}|pypi-{_CHAR}{{40,512}}",
    rf"SG\.{_CHAR}{{16,64}}\.{_CHAR}{{16,64}}|key-[0-9a-f]{{32}}|[0-9a-f]{{32}}-us[0-9]{{1,2}}",  # SendGrid, Mailgun, Mailchimp
    r"(?:SK|AC)[0-9a-f]{32}",  # Twilio
    rf"(?:gsk_|xai-|r8_|pplx-|nvapi-|fw_|pcsk_|lsv2_(?:pt|sk)_|tgp_v1_|wandb_v1_){_CHAR}{{20,255}}",  # other model services
    rf"do[opr]_v1_[0-9a-f]{{64}}|dapi[0-9a-f]{{32}}|shp(?:at|ss|ca|pa)_[0-9a-f]{{32}}|hv[sb]\.{_CHAR}{{20,255}}",
    rf"figd_{_CHAR}{{20,255}}|lin_api_[A-Za-z0-9]{{32,64}}|ntn_[A-Za-z0-9]{{40,64}}|PMAK-{_CHAR}{{50,80}}|sbp_[0-9a-f]{{40}}",
    rf"ATATT3{_CHAR}{{50,255}}=?{_CHAR}{{0,16}}|AGE-SECRET-KEY-1[A-Z0-9]{{58}}|dckr_pat_{_CHAR}{{20,64}}",
)
_KNOWN = re.compile(rf"(?<![A-Za-z0-9_-])(?:{'|'.join(_FORMS)})(?![A-Za-z0-9])")
_LONG = re.compile(r"[A-Za-z0-9_-]{16}")

_BLOCK = r"[A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_PRIVATE_KEY = re.compile(
    rf"-----BEGIN {_BLOCK}(?:(?:(?!-----BEGIN)[\s\S]){{0,20000}}?-----END {_BLOCK}|[A-Za-z0-9+/=\\\s]{{0,20000}})"
)
# JSON Web Tokens: three parts, the first two JSON; encrypted ones have five, of which one is.
_JWT = re.compile(
    rf"(?<![A-Za-z0-9_-])eyJ{_CHAR}{{8,4096}}\."
    rf"(?:eyJ{_CHAR}{{2,16384}}\.{_CHAR}{{0,4096}}|{_CHAR}{{0,4096}}(?:\.{_CHAR}{{8,16384}}){{3}})"
)
_NAMES = (
    r"(?:api|access|secret|private|client|auth|app|service|encryption|signing|master|account|shared|storage)[ -]?"
    r"(?:key|token|secret)(?:[_ -]?(?:id|key))?|(?<=_)key|accountkey|secret|token|password|passwd|pwd"
)
_ASSIGNED = re.compile(
    rf"(?:{_NAMES})[\"']? ?(?::=?|=>?|is) ?[\"']?(?P<value>[A-Za-z0-9_+/=.~!@$%^&*\\-]{{16,512}})(?![\w(\[])",
    re.IGNORECASE,
)
_VALUE = re.compile(r"[:=>s] ?[\"']?[A-Za-z0-9_+/=.~!@$%^&*\\-]{16}")
_TOLD = re.compile(
    r"(?:키|토큰|시크릿)(?:는|은|가|이)? ?[:=]? ?[\"'`]?(?P<value>[A-Za-z0-9_+/=.~-]{20,512})", re.IGNORECASE
)
_HEADER = re.compile(r"(?<![A-Za-z])(?:Bearer|Basic) (?P<value>[A-Za-z0-9._~+/=-]{16,8192})", re.IGNORECASE)
_WEBHOOK = r"[A-Za-z0-9@/_.%~-]{20,1024}"


def _key(
    pattern: re.Pattern[str] | str,
    score: float,
    hint: Hint,
    check: Callable[[str], bool] = is_filled_in,
) -> Rule:
    return Rule("API_KEY", re.compile(pattern) if isinstance(pattern, str) else pattern, score, hint, check)


RULES = (
    _key(_KNOWN, 0.96, _LONG),
    _key(_SK, 0.96, "sk-", is_random),
    Rule("API_KEY", _PRIVATE_KEY, 1.0, "PRIVATE KEY"),
    Rule("JWT", _JWT, 0.98, "eyJ"),
    _key(rf"\.webhook\.office\.com/webhookb2/(?P<value>{_WEBHOOK})", 0.99, "webhook.office"),
    _key(rf"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<value>{_WEBHOOK})", 0.99, "hooks.slack"),
    _key(r"discord(?:app)?\.com/api/webhooks/(?P<value>[0-9]{15,24}/[A-Za-z0-9_-]{30,128})", 0.99, "/webhooks/"),
    _key(r"(?<![0-9])(?P<value>[0-9]{8,10}:AA[A-Za-z0-9_-]{30,40})", 0.96, ":AA"),  # Telegram
    _key(_HEADER, 0.9, re.compile("bearer|basic", re.IGNORECASE), is_encoded),
    _key(_ASSIGNED, LIKELY, _VALUE, is_random),
    _key(_TOLD, LIKELY, _LONG, is_random),
)
