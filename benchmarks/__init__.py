"""Measurements of the pipeline: run by hand or with `make benchmark`, never by the pipeline itself."""
