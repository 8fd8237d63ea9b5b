"""Grading: what became of each prediction, and how accurate each system was."""
