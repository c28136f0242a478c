"""What second measurements made of suspicions, in words."""

from collections import Counter
from collections.abc import Iterable

from vllm_quality.verdict.types import Finding, Repeat

REPEAT_WORDS: dict[Repeat, str] = {
    "confirmed": "measured twice",
    "refuted": "measured again, not borne out",
    "failed": "second measurement failed",
}


def count_repeats(findings: Iterable[Finding]) -> Counter[Repeat]:
    """How often second measurements ended how; 0 for what did not happen."""
    return Counter(finding.repeat for finding in findings if finding.repeat)


def repeat_remark(findings: Iterable[Finding]) -> str:
    """What is left of the suspicions that did not become certain: "One suspicion was measured again and not borne out.";
    "" without any.
    """
    counts, said = count_repeats(findings), []
    match counts["refuted"]:
        case 0:
            pass
        case 1:
            said.append("One suspicion was measured again and not borne out.")
        case several:
            said.append(f"{several} suspicions were measured again and not borne out.")
    match counts["failed"]:
        case 0:
            pass
        case 1:
            said.append("One suspicion stays unconfirmed, as its second measurement failed.")
        case several:
            said.append(f"{several} suspicions stay unconfirmed, as their second measurements failed.")
    return " ".join(said)
