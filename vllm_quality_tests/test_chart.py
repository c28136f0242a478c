"""What the chart says of this package, without helm: the same settings, the same user, the same variables."""

import json
import re
import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import SecretStr

from vllm_quality.settings import PREFIX, Settings

HELM = Path(__file__).parents[1] / "helm"
CHART = HELM / "vllm-quality"
# The chart sets these itself, or they make no sense in a pod.
ITS_OWN = {"home", "objects_url", "s3_endpoint", "config_dir", "demo_model"}
JSON_TYPES = {bool: "boolean", int: "integer", float: "number"}


def schema() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    return loaded


def plain(annotation: Any) -> Any:
    """`X` of `X | None`."""
    if get_origin(annotation) in (Union, types.UnionType):
        return next(each for each in get_args(annotation) if each is not type(None))
    return annotation


def is_secret(name: str) -> bool:
    return plain(Settings.model_fields[name].annotation) is SecretStr


def test_the_schema_knows_every_setting_that_is_not_secret_and_its_type() -> None:
    known = schema()["properties"]["settings"]["properties"]
    assert set(known) == {name for name in Settings.model_fields if not is_secret(name)} - ITS_OWN
    for name, described in known.items():
        annotation = plain(Settings.model_fields[name].annotation)
        if get_origin(annotation) is Literal:
            assert set(described["enum"]) == set(get_args(annotation)), name
        else:
            assert described["type"] == JSON_TYPES.get(annotation, "string"), name


def test_the_secret_settings_are_named_where_the_secret_is() -> None:
    secret = {PREFIX + name.upper() for name in Settings.model_fields if is_secret(name)}
    for file in ("values.yaml", "README.md"):
        assert secret <= set(re.findall(r"VLLM_QUALITY_[A-Z_]+", (CHART / file).read_text(encoding="utf-8"))), file


def test_every_value_is_in_the_schema_and_every_object_is_closed() -> None:
    def check(value: Any, described: dict[str, Any], path: str) -> None:
        if path == "daemon":
            described = schema()["properties"]["codeServer"]
        if not isinstance(value, dict) or "properties" not in described:
            return
        assert described["additionalProperties"] is False, path
        assert set(value) <= set(described["properties"]), path
        for key, inner in value.items():
            check(inner, described["properties"][key], key)

    check(yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8")), schema(), "values")


def test_image_and_chart_agree_on_the_user_and_the_version() -> None:
    dockerfile = (HELM / "Dockerfile").read_text(encoding="utf-8")
    helpers = (CHART / "templates" / "_helpers.tpl").read_text(encoding="utf-8")
    (user,) = set(re.findall(r"runAs(?:User|Group): (\d+)", helpers))
    assert f"USER {user}:{user}" in dockerfile
    version = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))["appVersion"]
    assert f'\nversion = "{version}"\n' in (HELM.parent / "pyproject.toml").read_text(encoding="utf-8")
