"""Heartbeat: the daily sign of life of the alert path. It takes the way of every alert; its absence is an alarm."""

from __future__ import annotations

from prefect import flow

from blocks.alerts import HEARTBEAT_SENT
from flows.alarm import send
from flows.run import utc_now


@flow(name="heartbeat", flow_run_name="heartbeat")
def heartbeat() -> None:
    """Send the event that becomes the day's message. Raises if the server does not take it."""
    send(HEARTBEAT_SENT, {"prefect.resource.id": HEARTBEAT_SENT}, {}, utc_now())
