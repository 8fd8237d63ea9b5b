"""The simulated league beside real seasons: `python -m benchmarks.league_calibration --data FOLDER`.

Real figures come from 2023-24 and 2024-25 (2022-23 as history of forecasts), those of lines from the 2025-26
consensus lines that cover most players; simulated ones from the default league, its first season as history.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table

from tasks.sources.league import LeagueConfig, calibration, generate_league

HISTORY, JUDGED, LINED = "2022-23", ("2023-24", "2024-25"), "2025-26"
SIMULATED_ONLY = "no real counterpart"


def simulated(seed: int) -> tuple[dict[str, float], float]:
    began = time.perf_counter()
    league = generate_league(LeagueConfig(seed=seed))
    took = time.perf_counter() - began
    judged = list(LeagueConfig().seasons[1:])
    forecasts = calibration.naive_forecasts(league.player_games).filter(pl.col("season").is_in(judged))
    games = league.player_games.filter(pl.col("season").is_in(judged))
    lines = calibration.consensus(league.lines.filter(pl.col("season").is_in(judged)))
    return {
        **calibration.box_score_quantities(league.player_games),
        **calibration.absence_quantities(league.player_games),
        **calibration.forecast_quantities(forecasts),
        **calibration.line_quantities(games, forecasts, lines),
        **calibration.truth_quantities(forecasts, league.truth),
    }, took


def real(folder: Path) -> dict[str, float]:
    seasons = [_season(folder, s) for s in (HISTORY, *JUDGED)]
    games = pl.concat(seasons)
    judged = games.filter(pl.col("season").is_in(JUDGED))
    found = {
        **calibration.box_score_quantities(judged),
        **calibration.absence_quantities(judged),
        **calibration.forecast_quantities(calibration.naive_forecasts(games).filter(pl.col("season").is_in(JUDGED))),
    }
    lines_file = folder / "lines" / "consensus_points_lines.parquet"
    if not lines_file.exists() or not _path(folder, LINED).exists():
        return found
    lines = pl.read_parquet(lines_file).filter(pl.col("season") == LINED)
    source = lines["source"].mode()[0]
    history = pl.concat([*seasons, _season(folder, LINED)])
    forecasts = calibration.naive_forecasts(history).filter(pl.col("season") == LINED)
    lined = calibration.line_quantities(
        history.filter(pl.col("season") == LINED), forecasts, lines.filter(pl.col("source") == source)
    )
    del lined["lined players who sat"]  # these lines were kept only for players who played
    return found | lined


def _path(folder: Path, season: str) -> Path:
    return folder / "player_games" / f"player_games_{season}_regular.parquet"


def _season(folder: Path, season: str) -> pl.DataFrame:
    path = _path(folder, season)
    if not path.exists():
        raise SystemExit(f"{path} is missing: --data wants a folder with the seasons {HISTORY} to {JUDGED[-1]}")
    return pl.read_parquet(path)


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare the simulated league with real seasons in a folder.")
    parser.add_argument("--data", type=Path, required=True, help="folder in the layout of docs/data.md")
    parser.add_argument("--seed", type=int, default=LeagueConfig().seed)
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    options = parser.parse_args()
    found, took = simulated(options.seed)
    wanted = real(options.data)
    rows = []
    for name, value in found.items():
        target = wanted.get(name)
        if target is None:
            rows.append((name, f"{value:.3f}", "", SIMULATED_ONLY))
        else:
            apart = f"{(value / target - 1) * 100:+.1f} %" if target else ""
            rows.append((name, f"{value:.3f}", f"{target:.3f}", apart))
    if options.markdown:
        print("| quantity | simulated | real | apart |\n|---|---|---|---|")
        print("\n".join(f"| {' | '.join(row)} |" for row in rows))
        return 0
    table = Table(title=f"Simulated league (seed {options.seed}) beside real seasons")
    table.add_column("quantity")
    for heading in ("simulated", "real", "apart"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*row)
    console = Console()
    console.print(table)
    console.print(f"three seasons generated in {took:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
