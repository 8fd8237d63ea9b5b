"""How code reaches production and proves itself there."""
