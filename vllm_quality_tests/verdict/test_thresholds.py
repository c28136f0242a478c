from pathlib import Path

import pytest

from vllm_quality.settings import Settings
from vllm_quality.verdict.thresholds import ThresholdsError, load_thresholds


def test_the_packaged_file_is_the_rule_of_the_prd() -> None:
    thresholds = load_thresholds(Settings().config_file("thresholds.yaml"))
    assert thresholds.limit("eval/basics_ko/exact_match", "quality") == 0.10
    assert thresholds.limit("load/baseline/main/ttft_p99_s", "performance") == 0.10
    assert thresholds.limit("load/baseline/main/ttft_mean_s", "performance") is None
    assert thresholds.floor("load/baseline/main/success_ratio") == 0.99


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("quality: {max_regression: ten, judged: []}", "quality.max_regression"),
        ("qualty: {}", "qualty"),
        ("baseline: {runs: 0}", "baseline.runs"),
        ("baseline: [", "is not YAML"),
        ("- a", "the file"),
    ],
)
def test_a_wrong_file_is_one_sentence_that_names_the_key(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "thresholds.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ThresholdsError) as caught:
        load_thresholds(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_first_pattern_that_matches_wins(tmp_path: Path) -> None:
    path = tmp_path / "thresholds.yaml"
    path.write_text("max_regression: {'eval/a/*': 0.5, 'eval/*': 0.2}", encoding="utf-8")
    thresholds = load_thresholds(path)
    assert thresholds.limit("eval/a/acc", "quality") == 0.5
    assert thresholds.limit("eval/b/acc", "quality") == 0.2
