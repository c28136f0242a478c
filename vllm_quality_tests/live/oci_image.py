"""A small OCI image made by hand, as a folder that skopeo copies from (its `dir:` transport)."""

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
_CREATED = "2026-01-01T00:00:00Z"  # fixed: the digest depends on the content alone


def write_image(folder: Path, content: str) -> str:
    """Write an image of one layer with one file of that content; its digest, the same for the same content."""
    plain = _layer(content.encode())
    layer = _blob(folder, _LAYER_TYPE, gzip.compress(plain, mtime=0))
    config = {
        "created": _CREATED,
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": ["vllm", "serve"]},
        "rootfs": {"type": "layers", "diff_ids": [_digest(plain)]},
        "history": [{"created": _CREATED, "created_by": "vllm_quality_tests"}],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": _blob(folder, _CONFIG_TYPE, _json(config)),
        "layers": [layer],
    }
    (folder / "version").write_text("Directory Transport Version: 1.1\n", encoding="ascii")
    (folder / "manifest.json").write_bytes(_json(manifest))
    return _digest(_json(manifest))


def _layer(content: bytes) -> bytes:
    entry = tarfile.TarInfo("etc/release")
    entry.size = len(content)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _blob(folder: Path, media_type: str, data: bytes) -> dict[str, str | int]:
    digest = _digest(data)
    (folder / digest.removeprefix("sha256:")).write_bytes(data)
    return {"mediaType": media_type, "digest": digest, "size": len(data)}


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()
