from pathlib import Path

import pytest

from vllm_quality.settings import SettingsError, load_settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TEAMS_MENTIONS", "someone"),
        ("BASE_URL", "vllm:8000"),
        ("BASE_URL", "http://user:password@vllm"),
        ("PROFILE", "huge"),
        ("POLL_SECONDS", "often"),
        ("TEAMS_WEBHOOK", "ftp://s3cret"),
        ("OBJECTS_URL", "/plain/path"),
        ("TAG_PATTERN", "("),
        ("EVAL_CONCURRENCY", "0"),
        ("QUERIES_URL", "ftp://logs"),
        ("QUERIES_METADATA", "app"),
        ("QUERIES_SAMPLE", "0"),
        ("PII_KEY", "s3cret"),
        ("QUERIES_INDEX", "cassandra://s3cret@host"),
        ("QUERIES_INDEX", "redis:///0"),
        ("QUERIES_INDEX", "redis://user:s3cret@host:6379/zero"),
        ("QUERIES_INDEX", "redis://user:s3cret@host?db=1"),
    ],
)
def test_a_wrong_value_is_one_sentence_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"VLLM_QUALITY_{name}", value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value).startswith(f"VLLM_QUALITY_{name} ")
    assert "\n" not in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert "password@" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["RESULTS_URL", "REGISTRY_TOKEN", "API_KEY", "JUDGE_API_KEY", "PII_KEY", "QUERIES_API_KEY", "TEAMS_WEBHOOK"]
)
def test_secrets_do_not_show_in_a_repr(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"VLLM_QUALITY_{name}", "https://user:hunter2@host/hunter2")
    settings = load_settings()
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings)
    assert "hunter2" not in settings.model_dump_json()


def test_an_index_of_queries_is_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for address in ("redis://redis", "rediss://me:hunter2@10.0.0.7:6379/0?basename=team_a"):
        monkeypatch.setenv("VLLM_QUALITY_QUERIES_INDEX", address)
        settings = load_settings()
        assert settings.queries_index is not None
        assert settings.queries_index.get_secret_value() == address
        assert "hunter2" not in repr(settings) + settings.model_dump_json()


def test_everything_has_an_embedded_default_below_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VLLM_QUALITY_HOME", str(tmp_path))
    settings = load_settings()
    assert settings.results == f"chdb://{tmp_path}/results"
    assert settings.objects == f"file://{tmp_path}/objects"
    assert settings.image is None


def test_an_empty_variable_is_an_unset_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_QUALITY_BASE_URL", "")
    assert load_settings().base_url is None


def test_mentions_are_names_and_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_QUALITY_TEAMS_MENTIONS", "김 민수 <minsu@example.com>, Ada <ada@example.com>")
    assert load_settings().teams_mentions == (("김 민수", "minsu@example.com"), ("Ada", "ada@example.com"))


def test_an_operators_file_wins_over_the_packaged_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VLLM_QUALITY_CONFIG_DIR", str(tmp_path))
    (tmp_path / "thresholds.yaml").write_text("{}", encoding="utf-8")
    assert load_settings().config_file("thresholds.yaml") == tmp_path / "thresholds.yaml"
    assert load_settings().config_file("scenarios.yaml").parent.name == "configs"


def test_a_missing_config_folder_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VLLM_QUALITY_CONFIG_DIR", str(tmp_path / "none"))
    with pytest.raises(SettingsError, match="VLLM_QUALITY_CONFIG_DIR"):
        load_settings().config_file("thresholds.yaml")
