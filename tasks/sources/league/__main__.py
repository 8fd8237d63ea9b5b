"""Write a simulated league to a folder: `python -m tasks.sources.league OUT_FOLDER`."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from .generate import LeagueConfig, generate_league


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, generate, write; returns the exit code."""
    default = LeagueConfig()
    parser = argparse.ArgumentParser(
        prog="python -m tasks.sources.league",
        description="Write a simulated league (invented players, no real results) as Parquet files: "
        "schedule, player and team box scores, lines, rosters, injury report, positions, and the truth.",
    )
    parser.add_argument("out_folder", type=Path, metavar="OUT_FOLDER", help="where to write; made if missing")
    parser.add_argument("--seed", type=int, default=default.seed, help="equal seeds give equal leagues (%(default)s)")
    parser.add_argument(
        "--seasons",
        nargs="+",
        default=list(default.seasons),
        metavar="SEASON",
        help=f"in order of time, such as 2025-26 ({' '.join(default.seasons)})",
    )
    parser.add_argument("--teams", type=int, default=default.teams, help="an even number of 4 or more (%(default)s)")
    parser.add_argument(
        "--games-per-team",
        type=int,
        default=default.games_per_team,
        help="games a team and season (%(default)s)",
    )
    options = parser.parse_args(arguments)
    try:
        config = LeagueConfig(options.seed, tuple(options.seasons), options.teams, options.games_per_team)
    except ValueError as error:
        parser.error(str(error))
    if options.out_folder.exists() and not options.out_folder.is_dir():
        parser.error(f"{options.out_folder} is a file: give a folder")
    began = time.perf_counter()
    league = generate_league(config)
    files = league.write(options.out_folder)
    took = time.perf_counter() - began
    print(f"{league.schedule.height} games, {league.player_games.height} box-score lines")
    print(f"{league.lines.height} prop lines, {league.injuries.height} injury reports")
    print(f"in {len(files)} files under {options.out_folder} ({took:.1f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
