"""Why a run is late: a pure decision over what the Prefect server knows of its pool, its deployment and limits."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from tasks.engine.plan import Frozen


class Cause(StrEnum):
    """What keeps a run from being taken."""

    NOT_LATE = "not late"
    PAUSED = "paused"
    WRONG_RELEASE = "wrong release"
    NO_WORKER = "no worker"
    CONCURRENCY = "concurrency"
    UNKNOWN = "unknown"


class Slots(Frozen):
    """A limit, and how much of it is used."""

    limit: int
    used: int

    @property
    def full(self) -> bool:
        """Whether one more has to wait."""
        return self.used >= self.limit


class Facts(Frozen):
    """What is known of a run that should have been taken."""

    state: str = Field(description="Name of the run's state now.")
    pool: str
    queue: str
    workers: int = Field(ge=0, description="Workers of the pool that have been heard of lately.")
    deployment_paused: bool = False
    pool_paused: bool = False
    queue_paused: bool = False
    refused: str | None = Field(None, description="What the guard last found wrong with a worker of the pool.")
    pool_slots: Slots | None = None
    deployment_slots: Slots | None = None


class Explanation(Frozen):
    """The cause in words, and what to do."""

    cause: Cause
    words: str
    remedy: str


WAITING = ("Late", "Scheduled", "AwaitingConcurrencySlot")


def explain(facts: Facts) -> Explanation:
    """The first cause that holds, in the order in which one hides the next."""
    if facts.state not in WAITING:
        return Explanation(cause=Cause.NOT_LATE, words=f"The run is {facts.state} now.", remedy="Nothing.")
    if paused := _paused(facts):
        return paused
    if not facts.workers:
        return _without_worker(facts)
    for slots, whose in ((facts.deployment_slots, "the deployment"), (facts.pool_slots, f"the pool {facts.pool}")):
        if slots and slots.full:
            return Explanation(
                cause=Cause.CONCURRENCY,
                words=f"{slots.used} of {slots.limit} runs of {whose} are in progress, and this one waits for a slot.",
                remedy="Wait, or end the run that holds it: prefect flow-run ls --state Running",
            )
    return Explanation(
        cause=Cause.UNKNOWN,
        words=f"{facts.workers} workers poll the pool {facts.pool} and none takes the run: their own limit is used up, "
        f"or none of them serves the queue {facts.queue}.",
        remedy="Look at the workers' logs, or start one more.",
    )


def _paused(facts: Facts) -> Explanation | None:
    named = (
        (facts.deployment_paused, "the deployment", "prefect deployment resume"),
        (facts.pool_paused, f"the pool {facts.pool}", f"prefect work-pool resume {facts.pool}"),
        (facts.queue_paused, f"the queue {facts.queue}", f"prefect work-queue resume {facts.queue} -p {facts.pool}"),
    )
    for is_so, what, remedy in named:
        if is_so:
            words = f"{what[0].upper()}{what[1:]} is paused."
            return Explanation(cause=Cause.PAUSED, words=words, remedy=remedy)
    return None


def _without_worker(facts: Facts) -> Explanation:
    if facts.refused:
        return Explanation(
            cause=Cause.WRONG_RELEASE,
            words=f"No worker polls the pool {facts.pool}: the guard has refused one. {facts.refused}",
            remedy="Deploy the registered release to the worker (docs/integrity.md).",
        )
    return Explanation(
        cause=Cause.NO_WORKER,
        words=f"No worker polls the pool {facts.pool}.",
        remedy=f"prefect worker start --type guarded-process --pool {facts.pool}",
    )
