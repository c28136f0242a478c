"""The load runs of the recorded set: the same tape played to one vLLM through a proxy, whole or slowed down."""

from dataclasses import dataclass, field

from vllm_quality.load.scenario import Scenario
from vllm_quality.load.schedule import Constant
from vllm_quality_tests.detection.proxy import Flaw
from vllm_quality_tests.detection.variants import Expected

STAGE = "steady"
# What one thread serves with room to spare: latencies are the server's own, not those of its queue.
SCENARIO = Scenario(
    name="detection",
    profile="custom",
    title="Short completions at an even rate",
    input_tokens=24,
    output_tokens=16,
    stages=(Constant(type="constant", rate=1.5, duration_s=45, name=STAGE),),
    seed=1,
)


@dataclass(frozen=True)
class LoadVariant:
    """One run. `flaw` is what the proxy does; nothing where the run is good."""

    name: str
    expected: Expected
    kind: str
    flaw: Flaw = field(default_factory=Flaw)


def _bad(name: str, kind: str, flaw: Flaw) -> LoadVariant:
    return LoadVariant(name, "bad", kind, flaw)


def _again(number: int) -> LoadVariant:
    return LoadVariant(f"load_aa_{number}", "good", "the same endpoint again")


# By turns, since a machine is rarely as busy now as it was ten minutes ago.
LOAD_VARIANTS = (
    _again(1),
    _again(2),
    _bad("load_slow_decode", "each token 20 ms later than it would be", Flaw(slower_s=0.020)),
    _again(3),
    _bad("load_stall", "nothing goes through for 0.5 s of every 3 s", Flaw(stall_every_s=3.0, stall_s=0.5)),
    _again(4),
    _bad("load_capacity", "one request at a time", Flaw(at_once=1)),
    _again(5),
    _again(6),
    _bad("load_slow_decode_10", "each token 10 ms later than it would be", Flaw(slower_s=0.010)),
    _again(7),
)
