"""Self-heal: of yesterday, today and tomorrow, what is not right is made again and verified, or told to a person."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Any

import typer
from prefect import flow
from prefect.artifacts import create_markdown_artifact
from pydantic import AwareDatetime, Field
from rich.console import Console
from rich.text import Text

from blocks.workspace import WorkspaceError
from deployments.integrity.finding import IntegrityError
from flows.alarm import tell
from flows.clock import utc_now
from flows.command import AsIfThen, Home, Seasons, commands, exit_codes
from flows.daily import BadInput, daily
from flows.day import Day, DayFailed
from flows.exclusive import alone, holder
from flows.fetching import breaker_of
from flows.look import Look, look, observer
from flows.narration import narrate
from flows.release import prove
from flows.run import Run, new_run_id
from flows.terminal import local_run
from tasks.catalog import registry
from tasks.engine.breaker import Position
from tasks.engine.expected import ExpectedOutputs, Judged
from tasks.engine.faults import fault_of
from tasks.engine.healing import Action, HealPolicy, Remedy, attempts, history, is_wrong, remedy
from tasks.engine.incident_log import IncidentLog
from tasks.engine.incidents import Incident, IncidentKind
from tasks.engine.ledger import State
from tasks.engine.pace import MEASURED, usual_seconds
from tasks.engine.plan import Frozen, steps_of
from tasks.engine.processor import Mode, Need
from tasks.engine.reconcile import HEAL
from tasks.sources.base import SourceError

ONE_DAY = dt.timedelta(days=1)


class Healed(Frozen):
    """What was done about one mode and game day, and what was there afterwards."""

    mode: Mode
    game_day: dt.date
    remedy: Remedy
    came_to: str = ""
    still_wrong: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """For a person."""
        done = f"{self.remedy.action}: {', '.join(self.remedy.outputs)}" if self.remedy.outputs else self.remedy.action
        after = f"; still not right: {', '.join(self.still_wrong)}" if self.still_wrong else ""
        came_to = f" -> {self.came_to}" if self.came_to else ""
        return f"{self.mode} {self.game_day}: {done} ({self.remedy.why}){came_to}{after}"


@flow(name="self-heal", flow_run_name="self-heal")
def self_heal(
    now: Annotated[
        AwareDatetime | None, Field(description="The instant to judge by, for drills. None: the clock's.")
    ] = None,
    policy: Annotated[HealPolicy | None, Field(description="How often a machine tries.")] = None,
    data: Annotated[Path | None, Field(description="Folder of seasons. None: the bundled simulated league.")] = None,
    home: Annotated[Path | None, Field(description="The workspace to heal. None: that of the data.")] = None,
) -> list[Healed]:
    """Make again what is missing, the smallest part of it, and verify by counting; after three attempts tell a person.

    Raises IntegrityError if this is not the release that is expected: nothing is healed by the wrong code.
    """
    prove()
    at = now or utc_now()
    run = observer(at, data, home)
    seen = look(run, at)
    days = (
        (Mode.OVERNIGHT, seen.today - ONE_DAY),
        (Mode.SAME_DAY, seen.today),
        (Mode.SAME_DAY, seen.today + ONE_DAY),
    )
    rules = policy or HealPolicy()
    healed = [_heal(run, seen, mode, day, rules, now) for mode, day in days]
    after = look(run, now or utc_now())
    results = [item.model_copy(update={"still_wrong": _still_wrong(after, item)}) for item in healed]
    _escalate(run, after, results, rules)
    create_markdown_artifact("\n".join(f"- {item.sentence}" for item in results), key="self-heal")
    for item in results:
        narrate(f"{item.mode.value} {item.game_day}", item.remedy.action.value, item.remedy.why)
    return results


def _heal(run: Run, seen: Look, mode: Mode, day: dt.date, policy: HealPolicy, now: dt.datetime | None) -> Healed:
    """One mode and game day: decide, and if it helps, run only what is missing and what is made of it."""
    if _blind(seen, mode, day):
        blind = Remedy(action=Action.NOTHING, why=f"nobody can tell whether there are games: {seen.unknown}")
        return Healed(mode=mode, game_day=day, remedy=blind)
    found = _decide(run, seen, mode, day, policy)
    if found.action not in (Action.ASK, Action.RERUN):
        return Healed(mode=mode, game_day=day, remedy=found)
    other = holder(run.model_copy(update={"mode": mode, "game_day": day}))
    if other is not None:
        waiting = Remedy(action=Action.WAIT, why=f"{other} is at work", given_up=found.given_up)
        return Healed(mode=mode, game_day=day, remedy=waiting)
    if found.action == Action.RERUN:
        return _rerun(run, seen, Healed(mode=mode, game_day=day, remedy=found))
    asked = _ask(run, Healed(mode=mode, game_day=day, remedy=found))
    seen = look(run, now or utc_now())
    then = _decide(run, seen, mode, day, policy)
    return _rerun(run, seen, Healed(mode=mode, game_day=day, remedy=then)) if then.action == Action.RERUN else asked


def _decide(run: Run, seen: Look, mode: Mode, day: dt.date, policy: HealPolicy) -> Remedy:
    runs = _runs(seen, mode, day)
    kinds = {kind for row in runs for kind in row["stand_ins"] or ()}
    return remedy(
        _outputs(seen, mode, day),
        runs,
        seen.now,
        policy,
        steps_of(mode, registry()),
        usual_seconds(run.ledger.runs(since=seen.now - MEASURED)),
        next((known.first_tip_off for known in ExpectedOutputs(run.ledger).days(day, day)), None),
        [kind for kind in kinds if breaker_of(run, kind, seen.now).position == Position.OPEN],
    )


def _ask(run: Run, healed: Healed) -> Healed:
    """Take in what sources can give by now that were late or could not be asked. A rerun makes use of what is more."""
    try:
        day = Day(healed.mode, healed.game_day, None, run.data, run.home, only=healed.remedy.outputs)
        with alone(day.run):
            outcomes = day.ask_again()
    except BadInput as error:
        return healed.model_copy(update={"came_to": f"{type(error).__name__}: {error}"})
    return healed.model_copy(update={"came_to": ", ".join(f"{one.processor} is {one.state}" for one in outcomes)})


def _rerun(run: Run, seen: Look, healed: Healed) -> Healed:
    outputs = list(healed.remedy.outputs)
    try:
        came_to = daily(healed.mode, healed.game_day, data=run.data, home=run.home, only=outputs).state.value
    except DayFailed as failed:
        came_to = str(failed)
    except BadInput as error:
        came_to = f"{type(error).__name__}: {error}"
        _record(run, seen, healed, error)
    return healed.model_copy(update={"came_to": came_to})


def _record(run: Run, seen: Look, healed: Healed, error: Exception) -> None:
    """An attempt that ended before any output was begun is one all the same: attempts only count up."""
    run_id, now = f"{HEAL}{new_run_id(healed.mode, healed.game_day)}", utc_now()
    for item in _outputs(seen, healed.mode, healed.game_day):
        if item.owed.output not in healed.remedy.outputs:
            continue
        row = run.ledger.started(
            run_id=run_id,
            processor=item.owed.output,
            phase=item.owed.phase,
            mode=healed.mode,
            first_game_day=healed.game_day,
            game_day=healed.game_day,
            at=now,
            fingerprint=run.fingerprint,
        )
        facts = {"fault": fault_of(error), "error_class": type(error).__name__, "error_message": str(error)}
        run.ledger.ended(row, state=State.FAILED, at=now, duration_s=0.0, **facts)


def _escalate(run: Run, after: Look, results: list[Healed], policy: HealPolicy) -> None:
    """Tell a person of what no machine will try again, with what was tried; and when it is well after all."""
    found = []
    for item in results:
        day = item.mode, item.game_day
        left = _decide(run, after, *day, policy)
        found += [_given_up(item, output, after) for output in left.given_up]
    IncidentLog(run.ledger).settle(
        (IncidentKind.HEAL_EXHAUSTED,),
        found,
        after.now,
        lambda incident, opened: tell(incident, opened, after.now),
        held=lambda incident: not _decided(incident, results),
    )


def _decided(incident: Incident, results: list[Healed]) -> bool:
    """Whether this look says of an open incident that it is over: its day was looked at, or is past."""
    looked = {(item.mode, item.game_day): item for item in results}
    item = looked.get((incident.mode, incident.game_day))  # type: ignore[arg-type]
    return item is None or incident.subject not in item.still_wrong


def _given_up(healed: Healed, item: Judged, after: Look) -> Incident:
    runs = _runs(after, healed.mode, healed.game_day)
    name = item.owed.output
    tried = attempts(name, runs)
    return Incident(
        kind=IncidentKind.HEAL_EXHAUSTED,
        subject=name,
        mode=healed.mode,
        game_day=healed.game_day,
        what=f"{name} is {item.state} ({item.why}) after {len(tried)} attempts. Tried: {history(name, runs)}",
        since=tried[-1]["started_at"] if tried else item.since,
        impact=f"{item.owed.games} games. No machine tries {name} again.",
        next_step="Remove the cause that the last attempt names, then run "
        f"python -m flows.daily --mode {healed.mode} --game-day {healed.game_day}",
    )


def _outputs(seen: Look, mode: Mode, day: dt.date) -> list[Judged]:
    return [item for item in seen.outputs if item.owed.mode == mode and item.owed.game_day == day]


def _runs(seen: Look, mode: Mode, day: dt.date) -> list[dict[str, Any]]:
    return [row for row in seen.runs if row["mode"] == mode.value and row["game_day"] == day]


def _blind(seen: Look, mode: Mode, day: dt.date) -> bool:
    """Whether nothing is known of this day because the schedule cannot be read."""
    return bool(seen.unknown) and not _outputs(seen, mode, day)


def _still_wrong(after: Look, healed: Healed) -> tuple[str, ...]:
    if _blind(after, healed.mode, healed.game_day):
        return ("schedule",)
    outputs = _outputs(after, healed.mode, healed.game_day)
    tried = {row["processor"] for row in _runs(after, healed.mode, healed.game_day)}
    return tuple(
        item.owed.output
        for item in outputs
        if item.owed.need == Need.REQUIRED and is_wrong(item) and (tried or after.now >= item.owed.expected_by)
    )


cli = commands()


@cli.command()
def main(
    now: AsIfThen = None,
    data: Seasons = None,
    home: Home = None,
) -> None:
    """Look once at yesterday, today and tomorrow, and make again what is missing.

    Exit code 0: everything is as it should be, or will be. 1: something is not, and a person is needed.
    2: something that you can put right.
    """
    console = Console()
    with exit_codes(console, bad_input=(SourceError, WorkspaceError, IntegrityError)), local_run(console):
        results = self_heal(now, data=data, home=home)
    for item in results:
        console.print(Text(item.sentence, style="bold red" if item.still_wrong else "green"), soft_wrap=True)
    if any(item.still_wrong for item in results):
        raise typer.Exit(1)


if __name__ == "__main__":
    cli()
