"""How small a loss would have been seen, and how many items it takes to see a given one."""

import math

from vllm_quality.verdict.statistics.effect import POWER, Noise


def detectable(noise: Noise, alpha: float) -> float:
    """The smallest loss that a one-sided test at `alpha` finds 95 % of the time, in the metric's unit (MDE).

    For right-or-wrong items with a share D of changed ones it solves m = (z_a sqrt(D) + z_b sqrt(D - m^2)) / sqrt(n); at
    least m of the items have to change for a loss of m, whatever changed so far.
    """
    from scipy.stats import norm

    a, b = float(norm.isf(alpha)), float(norm.ppf(POWER))
    if noise.discordant is None:
        return (a + b) * noise.stderr
    effect = 1.0 / noise.n
    for _ in range(200):
        changed = max(noise.discordant, effect)
        found = (a * math.sqrt(changed) + b * math.sqrt(max(changed - effect**2, 0.0))) / math.sqrt(noise.n)
        if abs(found - effect) < 1e-12:
            break
        effect = found
    return min(effect, 1.0)


def items_needed(noise: Noise, alpha: float, effect: float) -> int:
    """How many items of this kind it takes for `detectable` to come down to `effect`.

    noise  as measured with `noise.n` items
    """
    from scipy.stats import norm

    a, b = float(norm.isf(alpha)), float(norm.ppf(POWER))
    if noise.discordant is None:
        return max(noise.n, math.ceil(noise.n * ((a + b) * noise.stderr / effect) ** 2))
    changed = max(noise.discordant, effect)
    return max(
        math.ceil(((a * math.sqrt(changed) + b * math.sqrt(max(changed - effect**2, 0.0))) / effect) ** 2), noise.n
    )
