"""All rules, by kind."""

from collections.abc import Mapping, Sequence

from vllm_quality.datasets.pii import keys, money, names, network, phones, registration, urls
from vllm_quality.datasets.pii.kinds import KINDS
from vllm_quality.datasets.pii.rule import Rule

VERSION = "1"  # rises with every change of what is found or how it is written

_ALL = (*keys.RULES, *urls.RULES, *network.RULES, *money.RULES, *registration.RULES, *phones.RULES, *names.RULES)

RULES: Mapping[str, Sequence[Rule]] = {
    kind: found for kind in KINDS if (found := tuple(rule for rule in _ALL if rule.kind == kind))
}
