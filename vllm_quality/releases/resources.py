"""The registry as a Dagster resource."""

import dagster as dg

from vllm_quality.releases.image import Image
from vllm_quality.releases.login import Credentials
from vllm_quality.releases.registry import RegistryClient
from vllm_quality.releases.transport import RegistryError
from vllm_quality.settings import Settings


class RegistryResource(dg.ConfigurableResource[RegistryClient]):
    """Opens the watched registry with the credentials that the settings hold at that moment.

    `budget_s` bounds one look at it: well below the 60 s after which Dagster gives a sensor's tick up.
    """

    budget_s: float = 30.0
    first_pause_s: float = 0.5

    def open(self, image: Image, settings: Settings) -> RegistryClient:
        """A client for one look; to be used as a context manager. Raises `RegistryError`."""
        if settings.registry_user is not None and settings.registry_token is None:
            raise RegistryError(
                "VLLM_QUALITY_REGISTRY_USER is set without VLLM_QUALITY_REGISTRY_TOKEN; set both or none."
            )
        credentials = None
        if settings.registry_token is not None:
            # GHCR takes any user name beside a token; this one is for settings that leave it out.
            credentials = Credentials(settings.registry_user or "token", settings.registry_token)
        return RegistryClient(
            image,
            credentials,
            plain_http=settings.registry_plain_http,
            budget_s=self.budget_s,
            first_pause_s=self.first_pause_s,
        )
