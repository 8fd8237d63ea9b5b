"""The simulated league: a seeded generator of schedules, box scores, lines, rosters and injury reports.

Invented players and bookmakers, calibrated to real box scores; no real result is in it. Serving only what was
known at a given time is the business of the source that reads it, not of this package.
"""

from .generate import League, LeagueConfig, generate_league

__all__ = ["League", "LeagueConfig", "generate_league"]
