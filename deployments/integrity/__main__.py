"""`python -m deployments.integrity`."""

from .cli import main

main()
