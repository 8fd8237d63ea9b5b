"""Why a run is late: each cause by its facts, and the one that hides the others first."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from tasks.alerting.lateness import Cause, Facts, Slots, explain

FULL, FREE = Slots(limit=1, used=1), Slots(limit=2, used=1)
CASES: list[tuple[dict[str, Any], Cause, str]] = [
    ({"state": "Running"}, Cause.NOT_LATE, "Running"),
    ({"deployment_paused": True}, Cause.PAUSED, "The deployment is paused"),
    ({"pool_paused": True}, Cause.PAUSED, "The pool pipeline is paused"),
    ({"queue_paused": True}, Cause.PAUSED, "The queue default is paused"),
    ({"workers": 0, "refused": "Expected a, found b."}, Cause.WRONG_RELEASE, "Expected a, found b."),
    ({"workers": 0}, Cause.NO_WORKER, "No worker polls the pool pipeline"),
    ({"deployment_slots": FULL}, Cause.CONCURRENCY, "1 of 1 runs of the deployment"),
    ({"pool_slots": FULL}, Cause.CONCURRENCY, "1 of 1 runs of the pool pipeline"),
    ({"deployment_slots": FREE, "pool_slots": FREE}, Cause.UNKNOWN, "2 workers poll"),
]


def facts(**changes: Any) -> Facts:
    return Facts.model_validate({"state": "Late", "pool": "pipeline", "queue": "default", "workers": 2, **changes})


@pytest.mark.parametrize(("changes", "cause", "words"), CASES, ids=[f"{cause}: {words}" for _, cause, words in CASES])
def test_each_cause_is_named_with_what_to_do(changes: dict[str, Any], cause: Cause, words: str) -> None:
    found = explain(facts(**changes))
    assert (found.cause, words in found.words) == (cause, True)
    assert found.remedy


def test_a_cause_is_not_hidden_by_one_that_comes_after_it() -> None:
    """Starting a worker on a paused pool helps nobody: what has to be done first is said first."""
    for (first, cause, words), (second, _, _) in combinations(CASES[:-1], 2):
        found = explain(facts(**{**second, **first}))
        if set(first) & set(second) in (set(), {"workers"}):
            assert (found.cause, words in found.words) == (cause, True)


def test_a_refusal_of_yesterday_does_not_matter_while_workers_poll() -> None:
    assert explain(facts(refused="Expected a, found b.")).cause == Cause.UNKNOWN
