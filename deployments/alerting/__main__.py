"""`python -m deployments.alerting`: the alert path by hand: see what would change, ask why, test, receive."""

from __future__ import annotations

import datetime as dt
import signal
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

from blocks.alerts import ALERTS, SECOND_CHANNEL, AlertChannelError, probe
from deployments.alerting.apply import AutomationsError
from deployments.alerting.facts import facts_of
from deployments.alerting.receiver import PORT, Receiver
from deployments.automations import RUNBOOK, register, send_heartbeat
from tasks.alerting.lateness import explain

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)
MESSAGES = Path(".pipeline/alerts.jsonl")


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@app.command()
def plan(runbook: str = RUNBOOK) -> None:
    """Show what `apply` would change; change nothing."""
    _register(runbook, plan=True)


@app.command()
def apply(runbook: Annotated[str, typer.Option(help="Where messages link to.")] = RUNBOOK) -> None:
    """Make the server's automations those that deployments/automations.py declares."""
    _register(runbook, plan=False)


def _register(runbook: str, plan: bool) -> None:
    with get_client(sync_client=True) as client:
        try:
            changes = register(client, plan, runbook)
        except AutomationsError as error:
            raise SystemExit(str(error)) from None
    print("\n".join(change.text() for change in changes) or "no change")


@app.command()
def test() -> None:
    """Post a message to both channels, as registration does. Exit code 1 if one does not take it."""
    failed = False
    for name in (ALERTS, SECOND_CHANNEL):
        try:
            block = CustomWebhookNotificationBlock.load(name)
            assert isinstance(block, CustomWebhookNotificationBlock)  # outside an event loop it is loaded at once
            probe(block, "Test", "A test of the alert channel. Nothing has happened.")
        except (AlertChannelError, ValueError) as error:
            failed = True
            print(f"{name}: {error}")
        else:
            print(f"{name}: taken")
    raise SystemExit(int(failed))


@app.command()
def why(run: Annotated[UUID, typer.Argument(help="Id of the flow run.")]) -> None:
    """Say why a run is late: no worker, paused, concurrency or a worker of another release."""
    with get_client(sync_client=True) as client:
        try:
            found = explain(facts_of(client, run, _now()))
        except (ObjectNotFound, ValueError) as error:
            raise SystemExit(str(error)) from None
    print(f"{found.cause}: {found.words}\n{found.remedy}")


@app.command()
def heartbeat() -> None:
    """Send the daily sign of life now, the way that every alert takes."""
    send_heartbeat(_now())
    print("sent: the message comes within seconds")


@app.command()
def receiver(
    port: int = PORT, file: Annotated[Path, typer.Option(help="Keeps the messages, a JSON line each.")] = MESSAGES
) -> None:
    """Listen in Slack's place on this machine, and print each message. Register with http://127.0.0.1:PORT/alerts."""
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # before the server's thread is made: it must not take them
    with Receiver(file, _now, show=lambda text: print(text, flush=True)).listening(port) as address:
        print(f"listening on {address}; messages are kept in {file}", flush=True)
        signal.sigwait(ends)


if __name__ == "__main__":
    app()
