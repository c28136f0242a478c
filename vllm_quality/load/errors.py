"""What a load test says when it cannot be run at all."""

from vllm_quality.errors import UserError


class LoadError(UserError):
    """The load test cannot be run: a wrong scenario, an endpoint that cannot be reached or refuses the requests."""
