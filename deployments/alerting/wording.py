"""The words of every alert: text alone, filled in by the server with what it knows at that moment."""

from __future__ import annotations

from deployments.alerting.fleet import Watched
from deployments.alerting.messages import (
    DEPLOYMENT_LINK,
    OCCURRED,
    POOL_LINK,
    RUN,
    RUN_LINK,
    STATE,
    STATE_SAYS,
    Message,
    at,
    code,
    said,
)
from deployments.alerting.stake import STAKE, impact, impact_of_run
from tasks.engine.incidents import IncidentKind

_POOL = code("work_pool.name")
_NAME = said("event.resource['prefect.resource.name'] or event.resource['prefect.resource.id']")
_COMMAND = code("'prefect worker start --type ' ~ work_pool.type ~ ' --pool ' ~ work_pool.name")
_START_A_WORKER = f"Start a worker: {_COMMAND}"
_RUN_IT = code("'prefect deployment run ' ~ flow.name ~ '/' ~ deployment.name")
_RUN_AGAIN = f"Self-heal runs what is missing; by hand: {_RUN_IT}"
_CANCEL_IT = code("'prefect flow-run cancel ' ~ flow_run.id")
_IMPACT = impact_of_run()

INCIDENT = Message(
    kind=None,
    subject=said("event.payload.title"),
    what=said("event.payload.what"),
    since=said("event.payload.since"),
    impact=said("event.payload.impact"),
    next_step=said("event.payload.next_step"),
    links=(f"{{% if flow_run %}}{RUN_LINK}{{% else %}}Seen by the watch{{% endif %}}",),
)
INCIDENT_OVER = Message(
    kind=None,
    subject=said("event.payload.title"),
    what=said("event.payload.what"),
    since=OCCURRED,
    resolved=True,
)

LATE = Message(
    kind=IncidentKind.RUN_LATE,
    subject=f"Late: {RUN}",
    what=f"No worker of the pool {_POOL} has taken this run. Others of the pool may be late with it.",
    since=at("flow_run.expected_start_time"),
    impact=_IMPACT,
    next_step=_START_A_WORKER,
    links=(RUN_LINK, POOL_LINK),
)
LATE_OVER = Message(
    kind=IncidentKind.RUN_LATE,
    subject=f"Runs of the pool {said('work_pool.name')} start again",
    what=f"{RUN} is running.",
    since=OCCURRED,
    links=(RUN_LINK,),
    resolved=True,
)

_LIMIT = "deployment.global_concurrency_limit"
_RUNNING, _MOST = said(f"{_LIMIT}.active_slots"), said(f"{_LIMIT}.limit")
_CAUSE = (
    f"{{% if work_pool.is_paused %}}The pool {_POOL} is paused."
    f"{{% elif work_queue.is_paused %}}The queue {code('work_queue.name')} of the pool {_POOL} is paused."
    f"{{% elif deployment.paused %}}The deployment is paused."
    f"{{% elif work_pool and work_pool.status != 'READY' %}}No worker polls the pool {_POOL}: "
    "none is up, or the guard has refused it for being of another release."
    f"{{% elif {_LIMIT} and {_LIMIT}.active_slots >= {_LIMIT}.limit %}}Concurrency: "
    f"{_RUNNING} of {_MOST} runs of this deployment are running, and the next one waits for them."
    "{% elif work_pool.concurrency_limit is not none and work_pool.concurrency_limit is defined %}Workers poll; "
    f"the pool takes {said('work_pool.concurrency_limit')} runs at once, and they may be used up."
    f"{{% else %}}Workers poll the pool {_POOL} and none takes the run: their own limit is used up, or they serve "
    "another queue."
    "{% endif %}"
)
_REMEDY = (
    "{% if work_pool.is_paused %}"
    + code("'prefect work-pool resume ' ~ work_pool.name")
    + "{% elif deployment.paused %}"
    "Resume the deployment's schedules."
    "{% elif work_pool and work_pool.status != 'READY' %}" + _START_A_WORKER + "{% else %}"
    "Look at what runs: `prefect flow-run ls --state Running`; every fact in one place: "
    + code("'python -m deployments.alerting why ' ~ flow_run.id")
    + "{% endif %}"
)
STILL_LATE = Message(
    kind=IncidentKind.RUN_STILL_LATE,
    subject=f"Still late: {RUN}",
    what=_CAUSE,
    since=at("flow_run.expected_start_time"),
    impact=_IMPACT,
    next_step=_REMEDY,
    links=(RUN_LINK, POOL_LINK),
)

NEVER_STARTED = Message(
    kind=IncidentKind.RUN_NEVER_STARTED,
    subject=f"Never started: {RUN}",
    what=f"A worker of the pool {_POOL} submitted the run, and nothing began to run it. {STATE_SAYS}",
    since=OCCURRED,
    impact=_IMPACT,
    next_step=f"Compare command and image of the deployment with prefect.yaml. {_RUN_AGAIN}",
    links=(RUN_LINK,),
)
ZOMBIE = Message(
    kind=IncidentKind.RUN_ZOMBIE,
    subject=f"Heartbeats stopped: {RUN}",
    what="The process of this run is gone, or cut off. The run was set to Crashed.",
    since=OCCURRED,
    impact=_IMPACT,
    next_step=f"Look at the worker's machine. {_RUN_AGAIN}",
    links=(RUN_LINK,),
)
FAILED = Message(
    kind=IncidentKind.RUN_FAILED,
    subject=f"{STATE}: {RUN}",
    what=STATE_SAYS,
    since=OCCURRED,
    impact=_IMPACT,
    next_step=_RUN_AGAIN,
    links=(RUN_LINK,),
)
FAILED_OVER = Message(
    kind=IncidentKind.RUN_FAILED,
    subject=f"{RUN} has completed",
    what=STATE_SAYS,
    since=OCCURRED,
    links=(RUN_LINK,),
    resolved=True,
)


def overrunning(watched: Watched) -> Message:
    """Running for longer than this deployment may."""
    minutes = f"{watched.budget.total_seconds() / 60:.3g}"
    return Message(
        kind=IncidentKind.RUN_OVERRUNNING,
        subject=f"Running too long: {watched.deployment}",
        what=f"The run has been running for {minutes} minutes, which is as long as it may.",
        since=OCCURRED,
        impact=impact(watched),
        next_step=f"See which task is running. If it hangs: {_CANCEL_IT}",
        links=(RUN_LINK,),
    )


OVERRUNNING_OVER = Message(
    kind=IncidentKind.RUN_OVERRUNNING,
    subject=f"{RUN} is no longer running",
    what=f"It ended as {STATE}.",
    since=OCCURRED,
    links=(RUN_LINK,),
    resolved=True,
)

_PROVED = code("event.resource['integrity.found']")
BLOCKED = Message(
    kind=IncidentKind.INTEGRITY_BLOCKED,
    subject=f"Refused by the guard: {_NAME}",
    what=f"Expected {code('event.payload.expected')}, found {code('event.payload.found')}.\n"
    "{% for finding in (event.payload.findings or [])[:5] %}"
    f"• {code('finding.code')} expected {said('finding.expected')}, found {said('finding.found')}\n"
    "{% endfor %}",
    since=OCCURRED,
    impact=f"Nothing was computed by the wrong code. {STAKE}",
    next_step="Deploy the registered release to that worker, or register the one that is there: docs/integrity.md.",
)
BLOCKED_OVER = Message(
    kind=IncidentKind.INTEGRITY_BLOCKED,
    subject=f"The right release is at work: {_NAME}",
    what=f"{_PROVED} has proved itself.",
    since=OCCURRED,
    resolved=True,
)

_ITS_POOL = said("work_pool.name or event.resource['prefect.resource.name']")
POOL_NOT_READY = Message(
    kind=IncidentKind.POOL_NOT_READY,
    subject=f"Nobody polls the pool {_ITS_POOL}",
    what="{% if deployment %}"
    f"{RUN} has no worker that asks for its runs, and others of the pool may have none either."
    "{% else %}Its workers have not been heard of for a while.{% endif %} What is due on it will be late.",
    since=OCCURRED,
    impact=STAKE,
    next_step=_START_A_WORKER,
    links=(POOL_LINK,),
)
POOL_READY = Message(
    kind=IncidentKind.POOL_NOT_READY,
    subject=f"The pool {_ITS_POOL} is polled",
    what="It takes runs again.",
    since=OCCURRED,
    links=(POOL_LINK,),
    resolved=True,
)

_FROM, _TO = code("change['from']"), code("change['to']")
EDITED = Message(
    kind=IncidentKind.DEPLOYMENT_EDITED,
    subject=f"Edited outside the code: {RUN}",
    what="{% for name, change in (event.payload.updates or {}).items() %}"
    f"• *{said('name')}* from {_FROM} to {_TO}\n"
    "{% endfor %}",
    since=OCCURRED,
    impact=f"Its next run may be of other code or in another place. {_IMPACT}",
    next_step="`python -m deployments.register` puts it back. If the edit was right, make it in prefect.yaml.",
    links=(DEPLOYMENT_LINK,),
)
EDITED_OVER = Message(
    kind=IncidentKind.DEPLOYMENT_EDITED,
    subject=f"As the code says again: {_NAME}",
    what="Registration has put the deployment right.",
    since=OCCURRED,
    links=(DEPLOYMENT_LINK,),
    resolved=True,
)

UNDELIVERED = Message(
    kind=IncidentKind.ALERT_UNDELIVERED,
    subject=f"Not delivered: {_NAME}",
    what="An alarm went off and its message, or what it was to start, did not arrive. Messages are sent again.",
    since=OCCURRED,
    impact="Whoever watches the first channel does not know of it.",
    next_step="Test the channel: `python -m deployments.alerting test`.",
)
REDELIVERED = Message(
    kind=IncidentKind.ALERT_UNDELIVERED,
    subject=f"Delivered after all: {_NAME}",
    what=f"The message that was due {said('event.payload.due')} has arrived.",
    since=OCCURRED,
    resolved=True,
)
DONE_AGAIN = Message(
    kind=IncidentKind.ALERT_UNDELIVERED,
    subject=f"Carried out again: {_NAME}",
    what="What this automation does had failed, and has now been done.",
    since=OCCURRED,
    resolved=True,
)

ALIVE = Message(
    kind=IncidentKind.HEARTBEAT_ABSENT,
    subject=":green_heart: Alerts arrive",
    what=f"The daily sign of life, sent {OCCURRED} the way that every alert takes.",
    since=OCCURRED,
)
HEARTBEAT_ABSENT = Message(
    kind=IncidentKind.HEARTBEAT_ABSENT,
    subject="No sign of life from the alert path",
    what="The daily message has not come through. Until it does, silence means nothing.",
    since=f"the last one, {OCCURRED}",
    impact="Alarms may go off unheard.",
    next_step="`python -m deployments.alerting heartbeat` sends one now.",
)
HEARTBEAT_BACK = Message(
    kind=IncidentKind.HEARTBEAT_ABSENT,
    subject="The alert path gives a sign of life again",
    what="The daily message has come through.",
    since=OCCURRED,
    resolved=True,
)
