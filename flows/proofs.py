"""What workers have proved to the Prefect server lately: the release that each pool runs, or why it is refused."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import Any

import httpx

from deployments.integrity.events import WORKER_ATTESTED, WORKER_BLOCKED, WORKER_DRAINING
from tasks.tonight.snapshot import Stamp

LOOKED_AT = dt.timedelta(days=2)
TIMEOUT_S = 3.0
POOL = "integrity.pool."


def proofs(api: str, now: dt.datetime) -> list[Stamp]:
    """The last word of each pool's worker. Raises httpx.HTTPError where the server does not answer."""
    with httpx.Client(base_url=api.rstrip("/"), timeout=TIMEOUT_S) as client:
        asked = {
            "filter": {
                "event": {"name": [WORKER_ATTESTED, WORKER_BLOCKED, WORKER_DRAINING]},
                "occurred": {"since": (now - LOOKED_AT).isoformat()},
            },
            "limit": 50,
        }
        events = client.post("/events/filter", json=asked).raise_for_status().json()["events"]
        pools = client.post("/work_pools/filter", json={}).raise_for_status().json()
    return stamps_of(events, [pool["name"] for pool in pools])


def stamps_of(events: list[dict[str, Any]], pools: Collection[str]) -> list[Stamp]:
    """From events, newest first, to one stamp for each pool that still exists: what was told of it last.

    A good start is told after every refusal. That the server calls a pool ready says nothing: it does so for a minute
    and more after the pool's last worker has gone.
    """
    last: dict[str, dict[str, Any]] = {}
    for event in events:
        last.setdefault(event["resource"]["prefect.resource.id"].removeprefix(POOL), event)
    return [_stamp(pool, event) for pool, event in sorted(last.items()) if pool in pools]


def _stamp(pool: str, event: dict[str, Any]) -> Stamp:
    payload = event["payload"]
    refused = event["event"] != WORKER_ATTESTED
    findings = [
        f"{one['code']}: expected {one['expected']}, found {one['found']}" for one in payload.get("findings", [])
    ]
    return Stamp(
        who=pool,
        what="worker of pool",
        release=payload["found"],
        expected=payload["expected"],
        refused="; ".join(findings) or "refused without a finding" if refused else "",
    )
