"""stats.nba.com through the nba_api client: its endpoints, parameters and headers, on the transport that we share.

The client's own transport checks no status, retries nothing and knows no pace, so it is left aside.
"""

from __future__ import annotations

from typing import Any

from nba_api.stats.endpoints._base import Endpoint
from nba_api.stats.library.http import STATS_HEADERS
from pydantic import Field

from tasks.sources.live.shape import Found, Row, envelope, text
from tasks.sources.live.web import Response, SchemaChanged, Web

# What the transport says for itself.
_OURS = ("host", "connection", "accept-encoding")


class _Table(Found):
    name: str
    headers: list[str] = Field(min_length=1)
    rowSet: list[Any]


class _Answer(Found):
    resultSets: list[_Table] = Field(min_length=1)


def ask_stats(web: Web, endpoint: Endpoint, label: str) -> Response:
    """Ask for what an endpoint of the client, made with `get_request=False`, describes."""
    headers = {name: value for name, value in STATS_HEADERS.items() if name.lower() not in _OURS}
    if web.settings.stats_user_agent is not None:
        headers["User-Agent"] = web.settings.stats_user_agent
    params = {name: "" if value is None else str(value) for name, value in endpoint.parameters.items()}
    response = web.get(
        "stats", f"/stats/{endpoint.endpoint}", label=label, params=dict(sorted(params.items())),
        headers=headers,
    )  # fmt: skip
    assert response is not None  # no status code stands for an absent answer here
    return response


def table_rows(response: Response, name: str, columns: dict[str, str], surplus: str) -> list[Row]:
    """The rows of one table, each value under our name for its header.

    A row that is longer or shorter than the headers is out of step: its last value stands under `surplus` too, so that
    phase 2 refuses it. Raises SchemaChanged where the table or a header is missing.
    """
    tables = {table.name: table for table in envelope(response, _Answer).resultSets}
    if name not in tables:
        raise SchemaChanged(f"{response.label}: no table {name} (it has {', '.join(tables)})")
    table = tables[name]
    missing = [header for header in columns.values() if header not in table.headers]
    if missing:
        raise SchemaChanged(
            f"{response.label}: no column {', '.join(missing)} (it has {', '.join(table.headers)}); "
            "the source may have changed its schema"
        )
    place = {ours: table.headers.index(theirs) for ours, theirs in columns.items()}
    rows = []
    for found in table.rowSet:
        values = found if isinstance(found, list) else []
        row: Row = {ours: text(values[at]) if at < len(values) else None for ours, at in place.items()}
        row[surplus] = None if len(values) == len(table.headers) else f"{len(values)} values"
        rows.append(row)
    return rows
