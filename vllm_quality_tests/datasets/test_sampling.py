"""A sample is a fair draw of contents that does not depend on their order."""

import random
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from vllm_quality.datasets.description import Sample
from vllm_quality.datasets.sampling import Draw


def draw(contents: list[str], size: int, seed: int = 1) -> set[str]:
    """The contents drawn, as a set that is read row by row has them."""
    drawing, drawn = Draw(Sample(size=size, seed=seed)), dict[int, str]()
    for position, content in enumerate(contents):
        key = drawing.key(sha256(content.encode()).hexdigest())
        if drawing.takes(key):
            drawn[position] = content
            if (gone := drawing.take(key, position)) is not None:
                del drawn[gone]
    assert len(set(drawn.values())) == len(drawn)
    return set(drawn.values())


@given(
    contents=st.lists(st.text(max_size=4), max_size=60),
    size=st.integers(1, 20),
    seed=st.integers(0, 3),
    order=st.integers(0, 2**16),
)
def test_any_order_gives_the_same_sample_of_that_size(contents: list[str], size: int, seed: int, order: int) -> None:
    drawn = draw(contents, size, seed)
    assert drawn == draw(random.Random(order).sample(contents, len(contents)), size, seed)
    assert drawn <= set(contents)
    assert len(drawn) == min(size, len(set(contents)))


def test_another_seed_is_another_sample_and_each_content_is_as_likely() -> None:
    contents = [str(number) for number in range(200)]
    counts = dict.fromkeys(contents, 0)
    for seed in range(400):
        for content in draw(contents, 20, seed):
            counts[content] += 1
    assert draw(contents, 20, 1) != draw(contents, 20, 2)
    # 400 draws with a chance of 0.1: 40 each, standard deviation 6.
    assert all(10 < count < 70 for count in counts.values())
