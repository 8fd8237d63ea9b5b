"""From many books' lines to one: each book's most balanced number, and the median over the books."""

from __future__ import annotations

from typing import Literal

import polars as pl

# A price pair closest to even marks a ladder's main line; without prices the middle of the ladder does.
_PLAYER_GAME = ("game_day", "game_id", "player_id")


def consensus(prop_lines: pl.DataFrame, which: Literal["opening", "closing"]) -> pl.DataFrame:
    """The median over books of each book's first (opening) or last (closing) main line.

    `prop_lines` must hold only snapshots that count as known. Columns: game_day, game_id, player_id, line (points),
    books (count), over_probability (vig-free mean over the books that quote both prices, else null), snapshot_at (the
    newest snapshot used), snapshot_assumed.
    """
    snapshot = pl.col("snapshot_at")
    edge = snapshot.min() if which == "opening" else snapshot.max()
    book = [*_PLAYER_GAME, "bookmaker"]
    over, under = _implied(pl.col("over_price")), _implied(pl.col("under_price"))
    fair = over / (over + under)
    imbalance = (fair - 0.5).abs()
    from_middle = (pl.col("line") - pl.col("line").median().over(book)).abs()
    main = (
        prop_lines.filter(snapshot == edge.over(book))
        .with_columns(_fair=fair, _imbalance=imbalance.fill_null(1.0), _from_middle=from_middle)
        .sort([*book, "_imbalance", "_from_middle", "line"])
        .unique(book, keep="first", maintain_order=True)
    )
    return main.group_by(_PLAYER_GAME, maintain_order=True).agg(
        line=pl.col("line").median(),
        books=pl.len().cast(pl.Int64),
        over_probability=pl.col("_fair").mean(),
        snapshot_at=snapshot.max(),
        snapshot_assumed=pl.col("snapshot_assumed").any(),
    )


def known(prop_lines: pl.DataFrame, targets: pl.DataFrame) -> pl.DataFrame:
    """The lines whose snapshot was known at the as_of of their game day."""
    return prop_lines.join(targets, on="game_day").filter(pl.col("snapshot_at") <= pl.col("as_of")).drop("as_of")


def _implied(price: pl.Expr) -> pl.Expr:
    """The win probability that American odds imply, vig included: -110 -> 0.524, +150 -> 0.4."""
    return pl.when(price < 0).then(-price / (100 - price)).otherwise(100 / (100 + price))
