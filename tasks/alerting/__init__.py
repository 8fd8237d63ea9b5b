"""Alerts that did not arrive: which they are, what they said, and why a run is late. Facts come in, words go out."""
