"""The one place where names, team codes and game ids become canonical: NBA player id, team tricode and id, game id."""

from __future__ import annotations

import datetime as dt

import polars as pl

# NBA team id, tricode, full name, and the other codes that sources use for the same team.
_TEAMS: tuple[tuple[int, str, str, tuple[str, ...]], ...] = (
    (1610612737, "ATL", "Atlanta Hawks", ()),
    (1610612738, "BOS", "Boston Celtics", ()),
    (1610612739, "CLE", "Cleveland Cavaliers", ()),
    (1610612740, "NOP", "New Orleans Pelicans", ("NO", "NOR", "NOH")),
    (1610612741, "CHI", "Chicago Bulls", ()),
    (1610612742, "DAL", "Dallas Mavericks", ()),
    (1610612743, "DEN", "Denver Nuggets", ()),
    (1610612744, "GSW", "Golden State Warriors", ("GS",)),
    (1610612745, "HOU", "Houston Rockets", ()),
    (1610612746, "LAC", "Los Angeles Clippers", ("LA Clippers",)),
    (1610612747, "LAL", "Los Angeles Lakers", ("LA Lakers",)),
    (1610612748, "MIA", "Miami Heat", ()),
    (1610612749, "MIL", "Milwaukee Bucks", ()),
    (1610612750, "MIN", "Minnesota Timberwolves", ()),
    (1610612751, "BKN", "Brooklyn Nets", ("BRK", "BK")),
    (1610612752, "NYK", "New York Knicks", ("NY",)),
    (1610612753, "ORL", "Orlando Magic", ()),
    (1610612754, "IND", "Indiana Pacers", ()),
    (1610612755, "PHI", "Philadelphia 76ers", ("PHL",)),
    (1610612756, "PHX", "Phoenix Suns", ("PHO",)),
    (1610612757, "POR", "Portland Trail Blazers", ()),
    (1610612758, "SAC", "Sacramento Kings", ()),
    (1610612759, "SAS", "San Antonio Spurs", ("SA",)),
    (1610612760, "OKC", "Oklahoma City Thunder", ()),
    (1610612761, "TOR", "Toronto Raptors", ()),
    (1610612762, "UTA", "Utah Jazz", ("UTAH", "UTH")),
    (1610612763, "MEM", "Memphis Grizzlies", ()),
    (1610612764, "WAS", "Washington Wizards", ("WSH",)),
    (1610612765, "DET", "Detroit Pistons", ()),
    (1610612766, "CHA", "Charlotte Hornets", ("CHO",)),
)

TEAM_IDS: dict[str, int] = {code: team_id for team_id, code, _, _ in _TEAMS}
_CODES: dict[str, str] = {word.upper(): code for _, code, full, others in _TEAMS for word in (code, full, *others)}

# First names that sources write in two ways; both sides are already normalised.
_FIRST_NAMES: dict[str, str] = {
    "moe": "moritz",
    "mouhamad": "mouhamed",
    "bones": "nahshon",
    "bj": "brandon",
    "gg": "gregory",
    "herb": "herbert",
    "nic": "nicolas",
    "cam": "cameron",
    "bub": "carlton",
    "alex": "alexandre",
    "nah": "nahshon",
    "ron": "ronald",
    "rob": "robert",
    "mo": "mohamed",
    "pj": "patrick",
    "kj": "kenyon",
}
# Names that no rule below brings together: another name for the same person, already normalised.
_ALIASES: dict[str, str] = {
    "yang hansen": "hansen yang",
    "enes kanter": "enes freedom",
    "jacky cui": "yongxi cui",
    "nate williams": "jeenathan williams",
    "ron holland": "ronald holland",
    "bones hyland": "nahshon hyland",
    "boogie ellis": "rejean ellis",
    "maxi kleber": "maximilian kleber",
    "juancho hernangomez": "juan hernangomez",
    "svi mykhailiuk": "sviatoslav mykhailiuk",
    "ish smith": "ishmael smith",
}
_RESOLVED = pl.Schema(
    {"_found": pl.get_index_type(), "player_id": pl.Int64(), "team": pl.String(), "known_from": pl.Date()}
)
# NBA game ids have ten digits; spreadsheets drop the leading zeros of a season since 2000-01.
_GAME_ID_DIGITS = 10
_SHORT_GAME_ID = r"^\d{8}$"
# The third digit of a game id. The final of the NBA Cup counts in no season total and has a kind of its own.
_SEASON_TYPES = {
    "1": "preseason",
    "2": "regular",
    "3": "all-star",
    "4": "playoffs",
    "5": "play-in",
    "6": "cup",
}
_FIRST_SEASON_OF_LAST_CENTURY = 46  # the league began in 1946-47
_SUFFIX = r"\s+(jr|sr|ii|iii|iv|v)$"
# Letters that Unicode does not decompose into a base letter and a mark.
_UNDECOMPOSED = {"đ": "d", "ø": "o", "ł": "l", "ı": "i", "ß": "ss", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d"}


def team_code(team: pl.Expr) -> pl.Expr:
    """The canonical tricode of a team written as any known code or full name; null for anything else."""
    word = team.str.strip_chars().str.to_uppercase()
    return word.replace_strict(_CODES, default=None, return_dtype=pl.String)


def team_id(code: pl.Expr) -> pl.Expr:
    """The NBA team id of a canonical tricode; null for anything else."""
    return code.replace_strict(TEAM_IDS, default=None, return_dtype=pl.Int64)


def game_id(game: pl.Expr) -> pl.Expr:
    """The canonical game id of a text: ten digits, as 0022500447; ids of another shape stand as they are."""
    return pl.when(game.str.contains(_SHORT_GAME_ID)).then(game.str.zfill(_GAME_ID_DIGITS)).otherwise(game)


def season_of_game(game: str) -> str | None:
    """The season that NBA's game id names, as 2025-26; None for an id of another shape."""
    if not _is_nba_game(game):
        return None
    start = 2000 + int(game[3:5]) if int(game[3:5]) < _FIRST_SEASON_OF_LAST_CENTURY else 1900 + int(game[3:5])
    return f"{start}-{(start + 1) % 100:02}"


def season_type_of_game(game: str) -> str | None:
    """The kind of game that NBA's game id names: regular, playoffs, play-in, cup, preseason, all-star."""
    return _SEASON_TYPES.get(game[2]) if _is_nba_game(game) else None


def _is_nba_game(game: str) -> bool:
    return len(game) == _GAME_ID_DIGITS and game.isascii() and game.isdecimal() and game.startswith("00")


def plain_name(name: pl.Expr) -> pl.Expr:
    """A player's name in lower case without diacritics and punctuation: "Nikola Jokić" -> "nikola jokic"."""
    text = name.str.to_lowercase().str.replace_many(list(_UNDECOMPOSED), list(_UNDECOMPOSED.values()))
    bare = text.str.normalize("NFKD").str.replace_all(r"\p{M}", "").str.replace_all(r"[.'’`]", "")
    return bare.str.replace_all(r"[^a-z0-9]+", " ").str.strip_chars()


def name_keys(name: pl.Expr) -> dict[str, pl.Expr]:
    """The forms under which two spellings of one player can meet, from the strictest to the loosest.

    The last one, the initial with the last name, also needs first names of which one begins the other.
    """
    plain = plain_name(name).replace(_ALIASES)
    bare = plain.str.replace(_SUFFIX, "")
    first, last = _first_name(name), bare.str.extract(r"(\S+)$")
    rest = bare.str.replace(r"^\S+", "")
    squashed = bare.str.replace_all(" ", "")
    forms = {
        "whole": plain.str.replace_all(" ", ""),
        "without_suffix": squashed.str.replace(r"(jr|iii|ii)$", ""),
        "nickname": (first.replace(_FIRST_NAMES) + rest).str.replace_all(" ", "").str.replace(r"(jr|iii|ii)$", ""),
        "initial": first.str.slice(0, 1) + "/" + last.str.replace(r"(jr|iii|ii)$", ""),
    }
    # A name without a Latin letter has no form: otherwise all such names would be one.
    return {form: key.replace("", None) for form, key in forms.items()}


def resolve_players(found: pl.DataFrame, directory: pl.DataFrame) -> pl.DataFrame:
    """Add `player_id` (null where unresolved), `team` and `known_from` to rows that name a player and two teams.

    `found` has columns game_day, player (the name as the source writes it), home_team and away_team (canonical
    tricodes). `directory` has one row per known player and team: player_id, player_name, team, known_from (Date). Only
    players known by the game day count. A form of the name counts only where exactly one player of the two teams has
    it, and "Davion" never stands for "Donovan", so that no guess is made between two people.
    """
    found = found.with_row_index("_found")
    keys = found.select(
        *("_found", "game_day", "home_team", "away_team"),
        **name_keys(pl.col("player")),
        _first=_first_name(pl.col("player")),
    )
    teams = pl.concat([keys.with_columns(team=pl.col("home_team")), keys.with_columns(team=pl.col("away_team"))])
    players = directory.select(
        *("player_id", "team", "known_from"),
        **name_keys(pl.col("player_name")),
        _known_first=_first_name(pl.col("player_name")),
    )
    first, known_first = pl.col("_first"), pl.col("_known_first")
    alike = first.str.starts_with(known_first) | known_first.str.starts_with(first)
    resolved = pl.DataFrame(schema=_RESOLVED)
    for form in name_keys(pl.col("player")):
        known = players.group_by("team", pl.col(form).alias("_name"), "player_id", "_known_first").agg(
            pl.col("known_from").min()
        )
        matches = (
            teams.join(resolved, on="_found", how="anti")
            .join(known, left_on=["team", form], right_on=["team", "_name"])
            .filter(pl.col("known_from") <= pl.col("game_day"))
            .filter(alike if form == "initial" else pl.lit(True))
            .filter(pl.col("player_id").n_unique().over("_found") == 1)
            .select(_RESOLVED.names())
            .sort("_found", "known_from", "team")
            .unique(subset="_found", keep="first", maintain_order=True)
        )
        resolved = pl.concat([resolved, matches])
    return found.join(resolved, on="_found", how="left", maintain_order="left").drop("_found")


def resolve_on_teams(found: pl.DataFrame, directory: pl.DataFrame) -> pl.DataFrame:
    """Add `player_id` (null where unresolved) to rows that name a `player` and his `team` (a canonical tricode).

    `directory` has player_id, player_name and team. A name counts on its team as in `resolve_players`; beyond it, for
    a player who has just changed teams, only in full and only where the whole directory holds it once.
    """
    ever = dt.date.min
    known = directory.with_columns(known_from=pl.lit(ever))
    asked = found.select("player", game_day=pl.lit(ever), home_team="team", away_team="team")
    on_team = resolve_players(asked, known)["player_id"]
    anywhere = [
        found.select(_name=key).join(
            directory.select(_name=of_directory, player_id="player_id")
            .unique()
            .drop_nulls()
            .unique("_name", keep="none"),
            on="_name",
            how="left",
            maintain_order="left",
        )["player_id"]
        for key, of_directory in zip(_full_names("player"), _full_names("player_name"), strict=True)
    ]
    return found.with_columns(player_id=pl.coalesce(on_team, *anywhere))


def _full_names(column: str) -> list[pl.Expr]:
    """The forms that hold a whole first name."""
    return [key for form, key in name_keys(pl.col(column)).items() if form != "initial"]


def _first_name(name: pl.Expr) -> pl.Expr:
    return plain_name(name).str.replace(_SUFFIX, "").str.extract(r"^(\S+)")
