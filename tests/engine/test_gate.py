"""What the gate promises: it never waives the critical, waits only for what was started, and keeps to its word."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.engine.gate import Decision, GatePolicy, Verdict, decide, waits_for_work
from tasks.engine.ledger import State
from tasks.engine.plan import Step
from tasks.engine.processor import Need, Phase

SINCE = dt.datetime(2025, 12, 29, 17, 30, tzinfo=dt.UTC)
LIMIT = SINCE + dt.timedelta(minutes=50)
MINUTE = dt.timedelta(minutes=1)
GOES_ON = (Verdict.PROCEED, Verdict.PROCEED_DEGRADED)
OVER = (State.FAILED, State.BLOCKED)
NAMES = tuple("abcdef")
STEADY = settings(deadline=None, derandomize=True, max_examples=150)  # the same examples on every machine


def step(name: str, need: Need = Need.REQUIRED, *, critical: bool = False) -> Step:
    return Step(processor=name, phase=Phase.ANALYTICS, need=need, critical=critical)


FIVE = tuple(step(name, critical=name == "a") for name in "abcde")


def after(minutes: float, states: dict[str, State], steps: tuple[Step, ...] = FIVE) -> Decision:
    return decide(steps, states, now=SINCE + minutes * MINUTE, since=SINCE, hard_limit=LIMIT)


def complete(names: str) -> dict[str, State]:
    return dict.fromkeys(names, State.COMPLETE)


@st.composite
def plans(draw: st.DrawFn) -> tuple[Step, ...]:
    names = NAMES[: draw(st.integers(1, len(NAMES)))]
    needs = [draw(st.sampled_from([Need.REQUIRED, Need.OPTIONAL])) for _ in names]
    return tuple(
        step(name, need, critical=need == Need.REQUIRED and draw(st.booleans()))
        for name, need in zip(names, needs, strict=True)
    )


STATES = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(State))
MINUTES = st.floats(0, 120)
LIMITS = st.none() | st.floats(0, 120).map(lambda minutes: SINCE + minutes * MINUTE)
POLICIES = st.builds(
    GatePolicy,
    stuck_after=st.integers(0, 60).map(lambda minutes: minutes * MINUTE),
    enough=st.floats(0, 1),
)


@STEADY
@given(plans(), STATES, MINUTES, LIMITS, POLICIES)
def test_it_never_goes_on_without_a_critical_output(
    steps: tuple[Step, ...],
    states: dict[str, State],
    minutes: float,
    limit: dt.datetime | None,
    policy: GatePolicy,
) -> None:
    decision = decide(steps, states, now=SINCE + minutes * MINUTE, since=SINCE, hard_limit=limit, policy=policy)
    if decision.verdict in GOES_ON:
        assert all(states.get(item.processor, State.EXPECTED).usable for item in steps if item.critical)


@STEADY
@given(plans(), STATES, MINUTES, LIMITS, POLICIES)
def test_it_waits_only_for_what_was_started_is_required_and_can_still_come(
    steps: tuple[Step, ...],
    states: dict[str, State],
    minutes: float,
    limit: dt.datetime | None,
    policy: GatePolicy,
) -> None:
    decision = decide(steps, states, now=SINCE + minutes * MINUTE, since=SINCE, hard_limit=limit, policy=policy)
    can_come = [
        item
        for item in steps
        if item.need == Need.REQUIRED
        and not states.get(item.processor, State.EXPECTED).usable
        and states.get(item.processor) not in OVER
    ]
    if decision.verdict == Verdict.WAIT:
        assert can_come
        assert limit is None or SINCE + minutes * MINUTE < limit
    if not can_come:
        assert not decision.stuck


@STEADY
@given(plans(), STATES, MINUTES, LIMITS, st.sampled_from(State))
def test_outputs_that_are_not_in_the_plan_change_nothing(
    steps: tuple[Step, ...], states: dict[str, State], minutes: float, limit: dt.datetime | None, stray: State
) -> None:
    def decided(found: dict[str, State]) -> Decision:
        return decide(steps, found, now=SINCE + minutes * MINUTE, since=SINCE, hard_limit=limit)

    mine = {item.processor for item in steps}
    alone = {name: state for name, state in states.items() if name in mine}
    assert decided(alone) == decided({**alone, **dict.fromkeys(set(NAMES) - mine, stray), "stranger": stray})


@STEADY
@given(plans(), STATES, MINUTES, MINUTES, LIMITS, POLICIES)
def test_with_the_same_states_it_never_takes_back_what_it_decided(
    steps: tuple[Step, ...],
    states: dict[str, State],
    earlier: float,
    more: float,
    limit: dt.datetime | None,
    policy: GatePolicy,
) -> None:
    def at(minutes: float) -> Decision:
        return decide(steps, states, now=SINCE + minutes * MINUTE, since=SINCE, hard_limit=limit, policy=policy)

    first, later = at(earlier), at(earlier + more)
    if first.verdict != Verdict.WAIT:
        assert later.verdict == first.verdict
    if first.stuck and later.verdict != Verdict.FAIL:
        assert later.stuck


@STEADY
@given(plans(), STATES, MINUTES, LIMITS, st.sampled_from(NAMES))
def test_one_more_output_never_stops_what_may_go_on(
    steps: tuple[Step, ...], states: dict[str, State], minutes: float, limit: dt.datetime | None, came: str
) -> None:
    def decided(found: dict[str, State]) -> Verdict:
        return decide(steps, found, now=SINCE + minutes * MINUTE, since=SINCE, hard_limit=limit).verdict

    better = decided({**states, came: State.COMPLETE})
    if decided(states) in GOES_ON:
        assert better in GOES_ON
    if decided(states) == Verdict.PROCEED:
        assert better == Verdict.PROCEED


@STEADY
@given(plans(), STATES, MINUTES, LIMITS)
def test_it_goes_on_unlabelled_exactly_when_everything_is_sound(
    steps: tuple[Step, ...], states: dict[str, State], minutes: float, limit: dt.datetime | None
) -> None:
    decision = decide(steps, states, now=SINCE + minutes * MINUTE, since=SINCE, hard_limit=limit)
    sound = all(states.get(item.processor) in (State.COMPLETE, State.EMPTY_OK) for item in steps)
    assert (decision.verdict == Verdict.PROCEED) == sound
    assert bool(decision.reasons) == (not sound)


def test_it_waits_half_an_hour_before_it_calls_a_phase_stuck() -> None:
    assert after(29.9, complete("abc")) == Decision(
        verdict=Verdict.WAIT, reasons=("d is EXPECTED", "e is EXPECTED"), stuck=False
    )


def test_three_of_five_with_every_critical_one_degrade_after_half_an_hour() -> None:
    decision = after(30, complete("abc") | {"d": State.RUNNING})
    assert decision == Decision(verdict=Verdict.PROCEED_DEGRADED, reasons=("d is RUNNING", "e is EXPECTED"), stuck=True)


def test_two_of_five_are_too_few_and_it_waits_on_with_one_alert() -> None:
    decision = after(30, complete("ab"))
    assert (decision.verdict, decision.stuck) == (Verdict.WAIT, True)
    assert after(50, complete("ab")).verdict == Verdict.FAIL


@pytest.mark.parametrize("names", ["b", "bcd", "bcde"])
def test_no_number_of_outputs_replaces_the_critical_one(names: str) -> None:
    """Incident B2: a count of one was expected, any one of five came, and the next phase ran without its input."""
    assert after(5, complete(names)).verdict == Verdict.WAIT
    assert (after(30, complete(names)).verdict, after(30, complete(names)).stuck) == (Verdict.WAIT, True)
    failed = after(50, complete(names))
    assert failed.verdict == Verdict.FAIL
    assert "a is EXPECTED" in failed.reasons


def test_a_critical_output_that_failed_for_good_is_not_waited_for_alone() -> None:
    assert after(1, complete("bcde") | {"a": State.FAILED}).verdict == Verdict.FAIL
    assert after(1, complete("bcde") | {"a": State.BLOCKED}).reasons == ("a is BLOCKED",)


def test_an_output_that_failed_for_good_is_not_waited_for() -> None:
    assert after(1, complete("abcd") | {"e": State.FAILED}).verdict == Verdict.PROCEED_DEGRADED


def test_what_is_optional_is_never_waited_for() -> None:
    steps = (step("a", critical=True), step("b", Need.OPTIONAL))
    assert after(0, complete("a"), steps).verdict == Verdict.PROCEED_DEGRADED
    assert after(0, complete("ab"), steps).verdict == Verdict.PROCEED


def waits(minutes: float, states: dict[str, State], steps: tuple[Step, ...], limit: dt.datetime | None = LIMIT) -> bool:
    return waits_for_work(steps, states, now=SINCE + minutes * MINUTE, since=SINCE, hard_limit=limit)


@pytest.mark.parametrize("so_far", [State.EXPECTED, State.RUNNING])
def test_a_run_that_is_making_an_optional_output_is_not_ended_half_way(so_far: State) -> None:
    """Asked in the second between the last required output and the optional one, it once ended a healthy phase."""
    steps = (step("a", critical=True), step("b", Need.OPTIONAL))
    at_work = {"a": State.COMPLETE, "b": so_far}
    assert waits(1, at_work, steps)
    assert waits(29.9, at_work, steps, limit=None)
    assert not waits(30, at_work, steps, limit=None), "it counts as stuck"
    assert not waits(20, at_work, steps, limit=SINCE + 20 * MINUTE), "never at the price of the deadline"


@STEADY
@given(plans(), STATES, MINUTES, MINUTES, LIMITS, POLICIES)
def test_work_elsewhere_is_ended_only_when_the_gate_goes_on_and_then_for_good(
    steps: tuple[Step, ...],
    states: dict[str, State],
    earlier: float,
    more: float,
    limit: dt.datetime | None,
    policy: GatePolicy,
) -> None:
    def at(minutes: float) -> tuple[bool, Verdict]:
        hours = {"now": SINCE + minutes * MINUTE, "since": SINCE, "hard_limit": limit, "policy": policy}
        return waits_for_work(steps, states, **hours), decide(steps, states, **hours).verdict  # type: ignore[arg-type]

    (waited, verdict), (waits_on, _) = at(earlier), at(earlier + more)
    assert waited or (verdict in GOES_ON and not waits_on)
    if all(states.get(item.processor) == State.COMPLETE for item in steps):
        assert waited, "nothing is left but the run's own end"


@pytest.mark.parametrize("state", [State.DEGRADED, State.PARTIAL])
def test_a_label_travels_on(state: State) -> None:
    decision = after(1, complete("bcde") | {"a": state})
    assert decision == Decision(verdict=Verdict.PROCEED_DEGRADED, reasons=(f"a is {state}",))


def test_nothing_due_today_is_no_reason() -> None:
    assert after(1, complete("bcde") | {"a": State.EMPTY_OK}).verdict == Verdict.PROCEED


@pytest.mark.parametrize("required", range(1, 41))
def test_sixty_percent_is_sixty_percent_for_any_number_of_outputs(required: int) -> None:
    steps = tuple(step(f"{n}") for n in range(required))
    for there in range(required):
        decision = after(30, {f"{n}": State.COMPLETE for n in range(there)}, steps)
        assert (decision.verdict == Verdict.PROCEED_DEGRADED) == (10 * there >= 6 * required)
