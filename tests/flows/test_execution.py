"""A phase on a pool of its own comes back as what the ledger counted, and never as more than that."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import pytest
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.states import Cancelling, Completed, Crashed, Failed, Running
from pydantic_core import to_jsonable_python

from blocks.execution import Execution
from flows import execution as execution_module
from flows.clock import DrillClock, at_time_of, utc_now
from flows.day import Day
from flows.execution import execution, placed, read_back
from flows.phases import analytics, precompute, predictions, raw
from flows.run import Run
from tasks.catalog import registry
from tasks.engine import ledger
from tasks.engine.gate import GatePolicy, Verdict, decide
from tasks.engine.plan import Step, steps_of
from tasks.engine.processor import Mode, Phase
from tasks.engine.runner import Outcome

DAY = dt.date(2025, 12, 29)
NOON = dt.datetime(2025, 12, 29, 17, tzinfo=dt.UTC)
STEPS = [step for step in steps_of(Mode.SAME_DAY, registry()) if step.phase == Phase.PRECOMPUTE]
RELEASE = "42+31544709b3d4"
STAMP = f"{RELEASE} sha256:7c3065c8b258"


def always(*_: object) -> bool:
    """A gate that waits."""
    return True


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(run_id="r1", mode=Mode.SAME_DAY, game_day=DAY, as_of=NOON, home=tmp_path, fingerprint=STAMP)  # type: ignore[call-arg]


def child(state: State[Any], release: str = RELEASE) -> FlowRun:
    return FlowRun(flow_id=uuid4(), name="precompute 1", state=state, labels={"integrity.release": release})


def record(run: Run, step: Step, state: ledger.State | None, rows: int = 0, **facts: Any) -> None:
    """The ledger row of a step; without a state it stays open, as that of a killed process."""
    row = run.ledger.started(
        run_id=run.run_id, processor=step.processor, phase=step.phase, mode=run.mode, first_game_day=DAY, game_day=DAY,
        at=NOON,
    )  # fmt: skip
    if state is not None:
        run.ledger.ended(row, state=state, at=NOON, duration_s=1.5, rows_actual=rows, **facts)


def test_what_the_child_counted_is_what_the_day_gets(run: Run) -> None:
    for step in STEPS:
        record(run, step, ledger.State.COMPLETE, 7, rows_expected=7, rows_refused=1, degraded_reasons=["late report"])
    outcomes = read_back(run, STEPS, child(Completed()))
    assert [item.processor for item in outcomes] == [step.processor for step in STEPS]
    assert {(item.state, item.rows, item.expected, item.refused) for item in outcomes} == {("COMPLETE", 7, 7, 1)}
    assert {item.reasons for item in outcomes} == {("late report",)}


def test_the_newest_attempt_of_a_step_counts(run: Run) -> None:
    record(run, STEPS[0], ledger.State.FAILED, error_class="OSError", error_message="disk")
    record(run, STEPS[0], ledger.State.COMPLETE, 7)
    [outcome] = read_back(run, STEPS[:1], child(Completed()))
    assert (outcome.state, outcome.error) == (ledger.State.COMPLETE, None)


def test_a_failure_in_the_child_keeps_its_error(run: Run) -> None:
    record(run, STEPS[0], ledger.State.FAILED, error_class="MissingInput", error_message="no rosters")
    [outcome] = read_back(run, STEPS[:1], child(Completed()))
    assert (outcome.state, outcome.error) == (ledger.State.FAILED, "MissingInput: no rosters")


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (Completed(), "was never begun; its run precompute 1 is Completed"),
        (Crashed(message="Process exited with status code: -9"), "is Crashed (Process exited with status code: -9)"),
        (Failed(message="boom"), "is Failed (boom)"),
        (Running(), "is Running"),
        (Cancelling(message="the day's run no longer waits for it"), "no longer waits for it"),
    ],
)
def test_a_step_without_a_record_has_failed_whatever_the_child_says(run: Run, state: State[Any], told: str) -> None:
    outcomes = read_back(run, STEPS, child(state))
    assert {outcome.state for outcome in outcomes} == {ledger.State.FAILED}
    assert all(told in str(outcome.error) for outcome in outcomes)
    states = {outcome.processor: outcome.state for outcome in outcomes}
    assert decide(STEPS, states, now=NOON, since=NOON, hard_limit=None).verdict == Verdict.FAIL


def test_a_step_that_a_killed_child_left_open_has_failed_and_a_finished_one_stands(run: Run) -> None:
    record(run, STEPS[0], ledger.State.COMPLETE, 7)
    record(run, STEPS[1], None)
    first, second = read_back(run, STEPS[:2], child(Crashed()))
    assert (first.state, second.state) == (ledger.State.COMPLETE, ledger.State.FAILED)
    assert "begun and not finished" in str(second.error)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (child(Completed(), release="41+000000000000"), "41+000000000000"),
        (child(Completed(), release=""), "carries no release"),
        (child(Failed(name="WrongRelease", message="pool precompute: manifest.role")), "manifest.role"),
    ],
)
def test_nothing_is_taken_from_another_release_even_if_rows_are_there(run: Run, found: FlowRun, told: str) -> None:
    for step in STEPS:
        record(run, step, ledger.State.COMPLETE, 7)
    outcomes = read_back(run, STEPS, found)
    assert {(outcome.state, outcome.rows) for outcome in outcomes} == {(ledger.State.BLOCKED, 0)}
    assert all(told in str(outcome.error) for outcome in outcomes)


def test_a_run_without_a_deployment_stays_in_its_process() -> None:
    assert execution() == Execution()
    for phase in (raw, analytics, precompute, predictions):
        assert placed(phase, execution(), always) is phase


def test_only_the_phases_that_the_setting_names_leave_the_process() -> None:
    where = Execution(pools=["precompute"])
    assert placed(analytics, where, always) is analytics
    assert placed(precompute, where, always) is not precompute


def test_a_phase_gets_its_parameters_back_from_json_as_they_were(run: Run) -> None:
    given = {"run": run, "targets": [(DAY, NOON)], "steps": STEPS, "landed": {"schedule": "schedule/x.json"}}
    sent = json.loads(json.dumps(to_jsonable_python(given)))
    assert precompute.validate_parameters(sent) == given


def test_a_phase_whose_pool_went_on_to_another_release_is_done_here_on_the_runs_own_code(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release rolled out in the middle of a day: the pool's worker is newer, and declines before it writes."""
    done: list[Run] = []

    def in_process(run: Run, targets: object, steps: list[Step], **more: object) -> list[Outcome]:
        done.append(run)
        return []

    monkeypatch.setattr(execution_module, "_run_on_pool", lambda *a, **k: child(Failed(), release="43+000000000000"))
    in_process.name = "precompute"  # type: ignore[attr-defined]
    assert placed(in_process, Execution(pools=["precompute"]), always)(run, [], STEPS) == []  # type: ignore[arg-type]
    assert done == [run]


@pytest.mark.parametrize("state", [Completed(), Crashed(), Failed(name="WrongRelease")])
def test_only_a_phase_that_declined_is_done_here(run: Run, state: State[Any]) -> None:
    assert execution_module._declined(run, child(state)) is None


class Waited(NamedTuple):
    """What a phase on a pool came to, how long it was waited for, and how its child ended."""

    states: dict[str, ledger.State]
    minutes: float
    child: State[Any]


class Pool:
    """A server whose child run is at work for so many minutes of the drill's clock, writing as it goes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, minutes: float, write: Callable[[float], None]) -> None:
        self.lasts, self.write, self.began = minutes, write, utc_now()
        self.state: State[Any] = Running()
        monkeypatch.setattr(execution_module, "run_deployment", lambda *a, **k: child(self.state))
        monkeypatch.setattr(execution_module, "get_client", lambda **_: self)

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""

    def set_flow_run_state(self, _: UUID, state: State[Any]) -> None:
        self.state = state

    def read_flow_run(self, _: UUID) -> FlowRun:
        minutes = (utc_now() - self.began).total_seconds() / 60
        self.write(minutes)
        if self.state.type == StateType.RUNNING and minutes >= self.lasts:
            self.state = Completed()
        return child(self.state)


def waited(run: Run, monkeypatch: pytest.MonkeyPatch, pool_minutes: float, lasts: float, hangs: str) -> Waited:
    """What came of a phase of which one step hangs, and after how many minutes of waiting."""
    with at_time_of(DrillClock(NOON)):
        day = Day.__new__(Day)  # its gate alone: no plan, no store
        day.gate, day._began = GatePolicy(enough=0.5), utc_now()
        monkeypatch.setattr(Day, "_hard_limit", lambda *_: NOON + dt.timedelta(minutes=12))
        written: set[str] = set()

        def write(minutes: float) -> None:
            for step in STEPS:
                if minutes > 1 and step.processor not in written:
                    record(run, step, None if step.processor == hangs else ledger.State.COMPLETE, 7)
                    written.add(step.processor)

        pool = Pool(monkeypatch, lasts, write)
        where = Execution(pools=["precompute"], minutes=pool_minutes)
        outcomes = placed(precompute, where, day.waits_for)(run, [], STEPS)
        took = (utc_now() - NOON).total_seconds() / 60
    return Waited({item.processor: item.state for item in outcomes}, took, pool.state)


def test_a_step_that_the_day_can_do_without_is_waited_for_until_its_gate_goes_on_without_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    [spare, *_] = [step.processor for step in STEPS if not step.critical]
    found = waited(run, monkeypatch, pool_minutes=60, lasts=math.inf, hangs=spare)
    assert 12 <= found.minutes < 12.2  # the hard limit: the deadline less what the later phases need
    assert found.child.type == StateType.CANCELLING
    assert found.states.pop(spare) == ledger.State.FAILED
    assert set(found.states.values()) == {ledger.State.COMPLETE}


def test_a_step_that_the_day_cannot_do_without_is_waited_for_as_long_as_the_setting_allows(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    [needed, *_] = [step.processor for step in STEPS if step.critical]
    found = waited(run, monkeypatch, pool_minutes=20, lasts=math.inf, hangs=needed)
    assert 20 <= found.minutes < 20.2
    assert found.states[needed] == ledger.State.FAILED
    assert decide(STEPS, found.states, now=NOON, since=NOON, hard_limit=None).verdict == Verdict.FAIL


def test_a_child_whose_steps_are_all_done_is_let_end_by_itself(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    found = waited(run, monkeypatch, pool_minutes=20, lasts=15, hangs="nothing")
    assert found.child.type == StateType.COMPLETED
    assert 15 <= found.minutes < 15.2
    assert set(found.states.values()) == {ledger.State.COMPLETE}
