"""What is alerted on: every automation of the alert path, in Prefect's own models. docs/alerts.md has the table.

Each alert that opens has a twin that tells of its end, or names the one that does; a burst of one cause is one message.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from prefect.client.orchestration import SyncPrefectClient
from prefect.events.actions import ActionTypes, ChangeFlowRunState, RunDeployment, SendNotification
from prefect.events.schemas.automations import AutomationCore, TriggerTypes
from prefect.states import StateType
from pydantic import Field

from blocks.alerts import ALERTS, HEARTBEAT_SENT, OWNER, REDELIVERED, SECOND_CHANNEL
from deployments.alerting import wording as words
from deployments.alerting.apply import Change, References, apply
from deployments.alerting.fleet import HEARTBEAT, POOLS, REDELIVER, SELF_HEAL, WATCHED, Watched
from deployments.alerting.lint import SHORTEST_ABSENCE
from deployments.alerting.messages import Message
from deployments.alerting.triggers import (
    DEPLOYMENT,
    POOL,
    RUN,
    SUBJECT,
    TOGETHER,
    TRIGGERED,
    Labels,
    absent,
    over,
    then,
    when,
)
from deployments.integrity import events as integrity
from tasks.engine.incidents import OPENED, RESOLVED, RUNBOOK, IncidentKind
from tasks.engine.plan import Frozen

PREFIX = "courtside: "
REGISTERED = "courtside.deployment.registered"

NEVER_STARTED = "NeverStarted"
ZOMBIE = "Zombie"
WRONG_RELEASE = "WrongRelease"  # the guard's name for a refused run


UNNAMED = ("incident*", "heartbeat", "self-heal*", "end of*")  # automations that are not called after one kind


def _runs(*states: str) -> set[str]:
    return {f"prefect.flow-run.{state}" for state in states}


LATE = _runs("Late")
FAILED = _runs("Failed", "Crashed", "TimedOut")
OURS = _runs(NEVER_STARTED, ZOMBIE, WRONG_RELEASE)  # ends that these automations or the guard give a run
ENDED = FAILED | OURS | _runs("Completed", "Cancelled")
STOPPED = ENDED | _runs("Cancelling", "Paused", "Suspended", "AwaitingRetry")
TAKEN = STOPPED | _runs("Pending", "Running")
EXECUTED = "prefect.automation.action.executed"
NOT_DONE = "prefect.automation.action.failed"


class Timing(Frozen):
    """How long each thing may take before it is told. The server marks a run late 15 s after it was due."""

    burst: dt.timedelta = Field(
        dt.timedelta(minutes=2), description="What happens meanwhile of one cause is one message."
    )
    reminder: dt.timedelta = Field(dt.timedelta(hours=6), description="The burst of what runs every few minutes.")
    still_late: dt.timedelta = Field(dt.timedelta(minutes=10), description="From late to still late.")
    noticed: dt.timedelta = Field(
        dt.timedelta(minutes=5), description="From the first sign that nobody polls a pool to the last."
    )
    start: dt.timedelta = Field(dt.timedelta(minutes=5), description="From submission to running: a cold container.")
    heartbeat: dt.timedelta = Field(dt.timedelta(minutes=9), description="Three heartbeats of a flow at 180 s.")
    edit: dt.timedelta = Field(dt.timedelta(minutes=1), description="From an edit to the registration that claims it.")
    delivery: dt.timedelta = Field(dt.timedelta(minutes=1), description="From an alarm to its message having arrived.")
    heal: dt.timedelta = Field(
        dt.timedelta(minutes=10), description="At most one self-heal for one cause in this time."
    )
    silence: dt.timedelta = Field(
        dt.timedelta(hours=25), description="From one heartbeat of the alert path to the next."
    )
    pace: float = Field(1, gt=0, description="What the budgets of deployments are multiplied by, for drills.")
    memory: dt.timedelta = Field(dt.timedelta(days=7), description="How long an open alert waits for its end.")


@dataclass(frozen=True)
class Alerts:
    """What the declarations below have in common."""

    refs: References
    runbook: str
    timing: Timing = field(default_factory=Timing)

    @property
    def watched(self) -> tuple[Watched, ...]:
        """The deployments of ours that the server has."""
        return tuple(item for item in WATCHED if self.refs.knows(item.deployment))

    def budget(self, watched: Watched) -> dt.timedelta:
        """How long a run of it may take; ten seconds is the shortest absence that a server knows."""
        return max(watched.budget * self.timing.pace, SHORTEST_ABSENCE)

    def of(self, *watched: Watched) -> Labels:
        """The runs of these deployments, of all if none is named: by id, since heartbeats carry no names."""
        ids = [f"prefect.deployment.{self.refs.deployment(item.deployment)}" for item in watched or self.watched]
        return {"prefect.resource.role": "deployment", "prefect.resource.id": ids}

    def tell(self, message: Message, trigger: TriggerTypes, about: str = "", channel: str = ALERTS) -> AutomationCore:
        """An automation that sends one message to one channel."""
        action = SendNotification(
            block_document_id=self.refs.block(channel),
            subject=message.subject_template(),
            body=message.body_template(self.runbook),
        )
        name = f"{message.name} {about}".strip() + (", resolved" if message.resolved else "")
        return self.do(name, name.capitalize(), trigger, action)

    def do(self, name: str, description: str, trigger: TriggerTypes, action: ActionTypes) -> AutomationCore:
        """An automation with one action: if it had two, one's success would hide the other's failure."""
        return AutomationCore(
            name=PREFIX + name,
            description=f"{description}. Declared in deployments/automations.py; docs/runbook.md says what to do.",
            tags=[OWNER],
            trigger=trigger,
            actions=[action],
        )


def automations(alerts: Alerts) -> list[AutomationCore]:
    """All of them, in the order of the runbook."""
    return [
        *incidents(alerts),
        *late(alerts),
        *never_started(alerts),
        *overrunning(alerts),
        *zombies(alerts),
        *failed(alerts),
        *blocked(alerts),
        *not_ready(alerts),
        *edited(alerts),
        *healing(alerts),
        *undelivered(alerts),
        *heartbeat(alerts),
    ]


def register(
    client: SyncPrefectClient, plan: bool = False, runbook: str = RUNBOOK, timing: Timing | None = None
) -> list[Change]:
    """Make the server's automations these, or with `plan` say what that would change.

    Raises AutomationsError where a channel or a deployment is missing; with `plan` they may be registered later.
    """
    alerts = Alerts(References.read(client, provisional=plan), runbook, timing=timing or Timing())
    return apply(client, automations(alerts), plan)


def claim(client: SyncPrefectClient, deployments: Iterable[str], now: dt.datetime) -> None:
    """Say that registration has just set these deployments right: what nobody claims in a minute was edited by hand."""
    refs = References.read(client)
    for name in deployments:
        resource = {"prefect.resource.id": f"prefect.deployment.{refs.deployment(name)}", "prefect.resource.name": name}
        integrity.emit(REGISTERED, resource, {}, now)


def send_heartbeat(now: dt.datetime) -> None:
    """Set off the daily sign of life."""
    integrity.emit(HEARTBEAT_SENT, {"prefect.resource.id": HEARTBEAT_SENT}, {}, now)


def incidents(alerts: Alerts) -> Iterator[AutomationCore]:
    """What watch, self-heal and validation observe: deadline, stuck phase, outputs, breaker. They tell edges only."""
    yield alerts.tell(words.INCIDENT, when({OPENED}, each=SUBJECT, burst=alerts.timing.burst))
    yield alerts.tell(words.INCIDENT_OVER, over({OPENED}, {RESOLVED}, each=SUBJECT, within=alerts.timing.memory))


def late(alerts: Alerts) -> Iterator[AutomationCore]:
    """A run that no worker has taken: one message a pool; ten minutes later one a deployment, with the cause."""
    seldom = [item for item in alerts.watched if not item.frequent]
    often = [item for item in alerts.watched if item.frequent]
    timing = alerts.timing
    for about, watched, each, burst in (
        ("", seldom, POOL, timing.burst),
        ("clock", often, DEPLOYMENT, timing.reminder),
    ):
        runs = alerts.of(*watched)
        yield alerts.tell(words.LATE, when(LATE, each=each, burst=burst, related=runs), about)
        started = over(LATE, _runs("Running"), each=each, within=timing.memory, related=runs)
        yield alerts.tell(words.LATE_OVER, started, about)
    still = absent(LATE, TAKEN, each=DEPLOYMENT, within=timing.still_late, related=alerts.of(*seldom))
    yield alerts.tell(words.STILL_LATE, still)


def never_started(alerts: Alerts) -> Iterator[AutomationCore]:
    """Submitted, but it never ran: a container with a wrong command. The run is ended, and the end is what is told."""
    silent = absent(
        _runs("Pending"),
        (TAKEN | _runs("Late", "Scheduled", "AwaitingConcurrencySlot")) - _runs("Pending"),
        each=RUN,
        within=alerts.timing.start,
        related=alerts.of(),
    )
    minutes = f"{alerts.timing.start.total_seconds() / 60:.3g}"
    yield alerts.do(
        "end of a run that never started",
        "A run that was submitted and has not begun to run is set to Crashed, so that it can be started anew",
        silent,
        ChangeFlowRunState(
            name=NEVER_STARTED,
            state=StateType.CRASHED,
            message=f"Submitted, and not running after {minutes} minutes: wrong command, image or pool?",
            force=True,
        ),
    )
    ended = when(_runs(NEVER_STARTED), each=DEPLOYMENT, burst=alerts.timing.burst, related=alerts.of())
    yield alerts.tell(words.NEVER_STARTED, ended)


def overrunning(alerts: Alerts) -> Iterator[AutomationCore]:
    """Running longer than its mode may. One a deployment, since budgets differ and its twin must not mix them up."""
    for item in alerts.watched:
        runs = alerts.of(item)
        slow = absent(_runs("Running"), STOPPED, each=RUN, within=alerts.budget(item), related=runs)
        opened = alerts.tell(words.overrunning(item), slow, item.deployment)
        yield opened
        ended = when(ENDED, each=RUN, burst=dt.timedelta(0), related=runs)
        yield alerts.tell(words.OVERRUNNING_OVER, then(opened, ended), item.deployment)


def zombies(alerts: Alerts) -> Iterator[AutomationCore]:
    """A run whose heartbeats have stopped. It is ended, so that its slot is free; nothing half written is visible."""
    beat = _runs("heartbeat")
    gone = absent(beat, beat | STOPPED, each=RUN, within=alerts.timing.heartbeat, related=alerts.of())
    yield alerts.do(
        "end of a zombie",
        "A run that has stopped to send heartbeats is set to Crashed, so that it can be started anew",
        gone,
        ChangeFlowRunState(
            name=ZOMBIE, state=StateType.CRASHED, message="Its heartbeats have stopped: process or machine is gone."
        ),
    )
    ended = when(_runs(ZOMBIE), each=DEPLOYMENT, burst=alerts.timing.burst, related=alerts.of())
    yield alerts.tell(words.ZOMBIE, ended)


def failed(alerts: Alerts) -> Iterator[AutomationCore]:
    """Failed or crashed. The twin also ends never-started and zombie: a later run of the deployment has completed."""
    timing = alerts.timing
    yield alerts.tell(words.FAILED, when(FAILED, each=DEPLOYMENT, burst=timing.burst, related=alerts.of()))
    mended = over(FAILED | OURS, _runs("Completed"), each=DEPLOYMENT, within=timing.memory, related=alerts.of())
    yield alerts.tell(words.FAILED_OVER, mended)


def blocked(alerts: Alerts) -> Iterator[AutomationCore]:
    """The guard has refused a worker or a run. Its twin: the same pool or role has proved the right release."""
    refused = {integrity.WORKER_BLOCKED, integrity.RUN_BLOCKED}
    proved = {integrity.WORKER_ATTESTED, integrity.RUN_ATTESTED}
    yield alerts.tell(words.BLOCKED, when(refused, each=SUBJECT, burst=alerts.timing.burst))
    yield alerts.tell(words.BLOCKED_OVER, over(refused, proved, each=SUBJECT, within=alerts.timing.memory))


def not_ready(alerts: Alerts) -> Iterator[AutomationCore]:
    """Nobody polls a pool, or one of its deployments. Whichever the server notices first speaks; the rest is one burst.

    One a pool, since a pool's events and those of its deployments have no label in common to be told apart by.
    """
    gone, back = (
        {f"prefect.{kind}.{state}" for kind in ("work-pool", "deployment")} for state in ("not-ready", "ready")
    )
    for pool in POOLS:
        deployments = [alerts.refs.deployment(item.deployment) for item in alerts.watched if item.pool == pool]
        if not deployments:
            continue
        ids = [f"prefect.work-pool.{alerts.refs.pool(pool)}", *(f"prefect.deployment.{item}" for item in deployments)]
        match: Labels = {"prefect.resource.id": ids}
        opened = when(gone, each=TOGETHER, burst=alerts.timing.noticed, match=match)
        yield alerts.tell(words.POOL_NOT_READY, opened, pool)
        ended = over(gone, back, each=TOGETHER, within=alerts.timing.memory, match=match)
        yield alerts.tell(words.POOL_READY, ended, pool)


def edited(alerts: Alerts) -> Iterator[AutomationCore]:
    """A deployment was changed, and no registration has claimed the change: somebody edited it elsewhere."""
    ours: Labels = {"prefect.resource.id": alerts.of()["prefect.resource.id"]}
    edit = absent({"prefect.deployment.updated"}, {REGISTERED}, each=SUBJECT, within=alerts.timing.edit, match=ours)
    opened = alerts.tell(words.EDITED, edit)
    yield opened
    put_right = when({REGISTERED}, each=SUBJECT, burst=dt.timedelta(0), match=ours)
    yield alerts.tell(words.EDITED_OVER, then(opened, put_right))


def healing(alerts: Alerts) -> Iterator[AutomationCore]:
    """Self-heal, started by failed runs and by what the watch finds; at most once in ten minutes for one cause."""
    if not alerts.refs.knows(SELF_HEAL):
        return
    heal = alerts.refs.deployment(SELF_HEAL)
    healed = alerts.of(*(item for item in alerts.watched if item.heals))
    yield alerts.do(
        "self-heal after a failed run",
        "Starts self-heal when a run has failed, crashed, never started or lost its heartbeat",
        when(FAILED | OURS, each=DEPLOYMENT, burst=alerts.timing.heal, related=healed),
        RunDeployment(source="selected", deployment_id=heal),
    )
    healable = (
        IncidentKind.DEADLINE_MISSED,
        IncidentKind.PHASE_STUCK,
        IncidentKind.OUTPUT_LATE,
        IncidentKind.OUTPUT_PARTIAL,
        IncidentKind.OUTPUT_FAILED,
        IncidentKind.VALIDATION_FAILED,
    )
    yield alerts.do(
        "self-heal after an incident",
        "Starts self-heal when an incident has opened that it can mend",
        when(
            {OPENED},
            each="courtside.game-day",
            burst=alerts.timing.heal,
            match={"courtside.kind": [kind.value for kind in healable]},
        ),
        RunDeployment(source="selected", deployment_id=heal),
    )


def undelivered(alerts: Alerts) -> Iterator[AutomationCore]:
    """An alarm without its message, whatever the reason: said on the second channel, and sent again by a flow.

    The server does not say so itself: an error of the HTTP library ends in its dead letters, without an event.
    Automations on the second channel are left out, or a dead one would tell itself of its death for ever.
    """
    second = (IncidentKind.ALERT_UNDELIVERED, IncidentKind.HEARTBEAT_ABSENT)
    told = [f"{PREFIX}{kind}*" for kind in IncidentKind if kind not in second]
    others: Labels = {"prefect.resource.name": [*told, *(f"{PREFIX}{name}" for name in UNNAMED)]}
    silent = absent({TRIGGERED}, {EXECUTED}, each=SUBJECT, within=alerts.timing.delivery, match=others)
    opened = alerts.tell(words.UNDELIVERED, silent, channel=SECOND_CHANNEL)
    if alerts.refs.knows(REDELIVER):
        again = RunDeployment(source="selected", deployment_id=alerts.refs.deployment(REDELIVER))
        opened.actions.append(again)
    yield opened
    arrived = when({REDELIVERED}, each=SUBJECT, burst=alerts.timing.burst)
    yield alerts.tell(words.REDELIVERED, arrived, channel=SECOND_CHANNEL)
    actions: Labels = {"prefect.resource.name": [f"{PREFIX}{name}" for name in ("self-heal*", "end of*")]}
    done = over({NOT_DONE}, {EXECUTED}, each=SUBJECT, within=alerts.timing.memory, match=actions)
    yield alerts.tell(words.DONE_AGAIN, done, "action", channel=SECOND_CHANNEL)


def heartbeat(alerts: Alerts) -> Iterator[AutomationCore]:
    """A message a day through the whole path; that it has come is an event, and that event's absence is an alarm."""
    daily = alerts.do(
        "heartbeat",
        f"The daily sign of life of the alert path, set off by {HEARTBEAT}",
        when({HEARTBEAT_SENT}, each=SUBJECT, burst=dt.timedelta(0)),  # who has mended a channel tries it at once
        SendNotification(
            block_document_id=alerts.refs.block(ALERTS), subject=words.ALIVE.subject, body=words.ALIVE.what
        ),
    )
    yield daily
    came = {EXECUTED}
    it: Labels = {"prefect.resource.name": daily.name}
    silence = absent(came, came, each=SUBJECT, within=alerts.timing.silence, match=it)
    opened = alerts.tell(words.HEARTBEAT_ABSENT, silence, channel=SECOND_CHANNEL)
    yield opened
    again = when(came, each=SUBJECT, burst=dt.timedelta(0), match=it)
    yield alerts.tell(words.HEARTBEAT_BACK, then(opened, again), channel=SECOND_CHANNEL)
