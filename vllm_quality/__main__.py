"""`python -m vllm_quality` is `vllm-quality`."""

from vllm_quality.cli import main

main()
