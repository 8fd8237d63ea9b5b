"""Drills: the incidents of the original pipeline, replayed on a scratch server with real processes, files and HTTP.

They are no part of a release. `python -m drills NAME`, or `make drill` for all of them and one report.
"""
