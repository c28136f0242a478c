"""What is done about items that two sets hold, as their descriptions have it."""

from collections.abc import Mapping

from vllm_quality.datasets.dedup.policy import Policy
from vllm_quality.datasets.description import Description
from vllm_quality.datasets.schema import DatasetError


def policy_of(sets: Mapping[str, Description]) -> Policy:
    """The policy of data sets, name -> description. Raises `DatasetError` when a description contradicts another's."""
    pairs: dict[tuple[str, str], str] = {}
    for name, about in sets.items():
        for other, rule in about.overlap.items():
            if other not in sets:
                raise DatasetError(
                    f"Data set {name!r} says what becomes of items that {other!r} holds as well, but there is no such "
                    "set; correct overlap in its dataset.yaml."
                )
            pairs[name, other] = rule
    return Policy(
        priorities={name: about.priority for name, about in sets.items()},
        roles={name: about.role for name, about in sets.items()},
        pairs=pairs,
    )
