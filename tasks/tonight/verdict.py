"""What is wrong with a night, what to do about it, and the answer in one line. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from tasks.engine.incidents import RUNBOOK, Incident, IncidentKind, in_new_york
from tasks.engine.ledger import State
from tasks.engine.plan import EASTERN
from tasks.engine.processor import Mode
from tasks.engine.season import AHEAD, SEASON_GAP
from tasks.tonight.gathering import Facts
from tasks.tonight.snapshot import Level, Output, Phase, Stamp, Trouble, Verdict

# Incidents after which tonight's predictions are not to be expected by themselves; any other one degrades the night.
FATAL = (
    IncidentKind.DEADLINE_MISSED,
    IncidentKind.HEAL_EXHAUSTED,
    IncidentKind.LEDGER_UNREADABLE,
    IncidentKind.SCHEDULE_UNKNOWN,
    IncidentKind.RUN_NEVER_STARTED,
    IncidentKind.RUN_FAILED,
)
NOT_THERE = (State.FAILED, State.BLOCKED, State.LATE)
NOTHING = "Nothing."
SHOWN = 6


@dataclass(frozen=True)
class Situation:
    """The night, as far as it is composed."""

    facts: Facts
    phases: tuple[Phase, ...]
    replayed: bool
    published_at: dt.datetime | None
    stamps: tuple[Stamp, ...]

    @property
    def outputs(self) -> list[Output]:
        """Every output of the night."""
        return [output for phase in self.phases for output in phase.outputs]

    @property
    def tonights(self) -> list[Output]:
        """The outputs of tonight's own run."""
        return [output for output in self.outputs if output.mode == Mode.SAME_DAY]


def troubles_of(night: Situation) -> Iterator[Trouble]:
    """Everything that is wrong, the worst first. What an open incident says is not said twice."""
    found = [*_unreadable(night), *_incidents(night), *_outputs(night), *_publication(night), *_releases(night)]
    yield from sorted(found, key=lambda trouble: trouble.level != Level.FAILING)


def verdict_of(night: Situation, troubles: Sequence[Trouble]) -> Verdict:
    """The answer."""
    facts, day = night.facts, night.facts.day
    if troubles:
        level = Level.FAILING if any(item.level == Level.FAILING for item in troubles) else Level.DEGRADED
        first = troubles[0]
        more = f" And {len(troubles) - 1} more." if len(troubles) > 1 else ""
        return Verdict(level=level, says=f"{_counted(night)}{first.title}.{more}", next_step=first.next_step)
    if not facts.ever_run:
        return Verdict(
            level=Level.FAILING,
            says="Nothing has ever run here: there is no ledger and no table.",
            next_step=_rerun(night, Mode.SAME_DAY, facts.game_day),
        )
    if day is None:
        return _unknown(night)
    if not day.games:
        return Verdict(level=Level.NO_GAMES, says=_no_games(facts), next_step=NOTHING)
    return Verdict(level=Level.FINE, says=_fine(night), next_step=NOTHING)


def _unknown(night: Situation) -> Verdict:
    """The verdict on a day of whose schedule nothing is here. Far ahead, nothing has to be."""
    facts = night.facts
    ahead = facts.game_day - facts.now.astimezone(EASTERN).date()
    if ahead > AHEAD:
        says = f"Nothing is due yet: {facts.game_day} is {ahead.days} days ahead, and its schedule is looked at"
        return Verdict(level=Level.FINE, says=f"{says} {AHEAD.days} days before.", next_step=NOTHING)
    latest = f"; the last game day known here is {facts.last_known}" if facts.last_known else ""
    return Verdict(
        level=Level.FAILING,
        says=f"Nobody has looked at the schedule of {facts.game_day} yet{latest}.",
        next_step=f"python -m flows.watch{facts.options}"
        if ahead.days > 0
        else _rerun(night, Mode.SAME_DAY, facts.game_day),
    )


def _unreadable(night: Situation) -> Iterator[Trouble]:
    for sentence in night.facts.unreadable:
        ledger = sentence.startswith("the ledger")
        yield Trouble(
            title=sentence[:1].upper() + sentence[1:],
            what="What is shown here is without it, so nothing here says that tonight is fine.",
            level=Level.FAILING,
            impact="Nobody can tell what is there and what is missing.",
            next_step="Look whether the disk is full or the database is down; the runbook says how to rebuild it."
            if ledger
            else "Rerun the game day that the message names.",
            runbook=f"{RUNBOOK}#{IncidentKind.LEDGER_UNREADABLE if ledger else 'state-failed'}",
        )


def _incidents(night: Situation) -> Iterator[Trouble]:
    for incident, opened, resolved in night.facts.incidents:
        if resolved is None:
            yield Trouble(
                title=f"{incident.kind.heading}: {incident.subject}",
                what=incident.what,
                level=Level.FAILING if incident.kind in FATAL else Level.DEGRADED,
                since=min(opened, incident.since),
                impact=incident.impact,
                next_step=incident.next_step,
                runbook=incident.kind.runbook,
            )


def _outputs(night: Situation) -> Iterator[Trouble]:
    """The first phase of each run that lacks something; what comes after it waits for it and is no second trouble."""
    told = {(item.mode, item.game_day) for item in _open(night) if item.kind not in (IncidentKind.BREAKER_OPEN,)}
    wrong = [(output, level) for output in night.outputs if (level := _level(night, output)) != Level.FINE]
    where = {output.name: phase.name for phase in night.phases for output in phase.outputs}
    for (mode, day), group in groupby(wrong, key=lambda item: (item[0].mode, item[0].game_day)):
        items = list(group)
        if (mode, day) in told:
            continue
        level = Level.FAILING if any(one == Level.FAILING for _, one in items) else Level.DEGRADED
        first = [output for output, _ in items if where[output.name] == where[items[0][0].name]]
        waiting = len(items) - len(first)
        state = first[0].state
        yield Trouble(
            title=f"{where[first[0].name].capitalize()}: {_listed([f'{one.name} is {one.state}' for one in first], 3)}",
            what="; ".join(_listed([f"{one.name}: {_why(one)}" for one in first], SHOWN).split("\n")),
            level=level,
            impact=f"{waiting} more output{'s wait' if waiting > 1 else ' waits'} for it." if waiting else "",
            next_step=_rerun(night, mode, day),
            runbook=f"{RUNBOOK}#state-{state.value.lower().replace('_', '-')}",
        )


def _publication(night: Situation) -> Iterator[Trouble]:
    manifest, deadline = night.facts.manifest, night.facts.day.deadline if night.facts.day else None
    if manifest is None:
        return
    told = any(output.state == State.DEGRADED for output in night.tonights)
    if manifest.degraded and not told:
        yield Trouble(
            title=f"The predictions are labelled degraded ({len(manifest.reasons)} reasons)",
            what="; ".join(manifest.reasons[:SHOWN]),
            level=Level.DEGRADED,
            impact="Every prediction made from it carries the label and the reasons.",
            next_step=f"{_rerun(night, Mode.SAME_DAY, night.facts.game_day)}   (once the source has it)",
            runbook=f"{RUNBOOK}#state-degraded",
        )
    missed = any(item.kind == IncidentKind.DEADLINE_MISSED for item in _open(night))
    late = night.published_at is not None and deadline is not None and night.published_at > deadline
    if late and not night.replayed and not missed:
        assert night.published_at is not None
        assert deadline is not None
        yield Trouble(
            title=f"Published {_span(night.published_at - deadline)} after the deadline",
            what=f"Due {in_new_york(deadline)}, published {in_new_york(night.published_at)}.",
            level=Level.DEGRADED,
            since=deadline,
            next_step="Read the incidents of the day in the order in which they opened: the first one is the cause.",
            runbook=IncidentKind.DEADLINE_MISSED.runbook,
        )


def _releases(night: Situation) -> Iterator[Trouble]:
    others = [stamp for stamp in night.stamps if stamp.matches is False]
    if others:
        yield Trouble(
            title=f"Wrong code: {_listed([f'{stamp.what} {stamp.who}' for stamp in others], 3)}",
            what="; ".join(
                stamp.refused or f"{stamp.who} has {stamp.release}, expected is {stamp.expected}" for stamp in others
            ),
            level=Level.DEGRADED,
            impact="A refused worker takes no work; a phase made by other code than the rest is not to be trusted.",
            next_step="Start the worker with the registered release: python -m deployments.integrity verify --full",
            runbook=IncidentKind.INTEGRITY_BLOCKED.runbook,
        )


def _level(night: Situation, output: Output) -> Level:
    """How bad the state of one output is for tonight, now."""
    if output.state in NOT_THERE:
        if output.critical:
            return Level.FAILING
        return Level.DEGRADED if output.required or output.state != State.LATE else Level.FINE
    if output.state == State.PARTIAL:
        due = next(phase.deadline for phase in night.phases if output in phase.outputs)
        return Level.FAILING if output.critical and night.facts.now >= due else Level.DEGRADED
    return Level.DEGRADED if output.state == State.DEGRADED else Level.FINE


def _fine(night: Situation) -> str:
    day, now = night.facts.day, night.facts.now
    assert day is not None
    assert day.deadline is not None
    games = f"{day.games} game{'s' if day.games > 1 else ''}"
    if night.published_at is not None:
        when = f"published {in_new_york(night.published_at)}"
        ahead = _span(day.deadline - night.published_at)
        after = ": a replay, after the day" if night.replayed else f", {ahead} before the deadline"
        return f"{_counted(night)}Complete for {games}, {when}{after}."
    due = f"due {in_new_york(day.deadline)}, in {_span(day.deadline - now)}"
    running = [phase.name for phase in night.phases if phase.state == State.RUNNING and phase.mode == Mode.SAME_DAY]
    if running:
        return f"On its way: {', '.join(running)} at work; predictions for {games} are {due}."
    starts = min((phase.planned_start for phase in night.phases if phase.mode == Mode.SAME_DAY), default=day.deadline)
    if now < starts:
        return f"Nothing is due yet: the run for {games} starts {in_new_york(starts)}; predictions are {due}."
    return f"Waiting for its next phase; predictions for {games} are {due}."


def _counted(night: Situation) -> str:
    for output in night.tonights:
        if output.name == "predictions" and output.expected:
            return f"{output.there or 0:,} of {output.expected:,} predictions. "
    return ""


def _no_games(facts: Facts) -> str:
    day = facts.day
    after = min((item.game_day for item in facts.days if item.games and item.game_day > facts.game_day), default=None)
    off = f" ({day.called_off} called off)" if day and day.called_off else ""
    if after is None or after - facts.game_day > SEASON_GAP:
        return f"No games on {facts.game_day}{off}: the season is over, and no next game day is known."
    return f"No games on {facts.game_day}{off}. The next game day is {after}."


def _why(output: Output) -> str:
    short = f"{output.there:,} of {output.expected:,} rows" if output.expected and output.there is not None else ""
    missing = f"missing {_listed(list(output.missing), 3)}" if output.missing else ""
    return ", ".join(part for part in (output.why or short or output.state.value, missing) if part)


def _open(night: Situation) -> list[Incident]:
    return [incident for incident, _, resolved in night.facts.incidents if resolved is None]


def _rerun(night: Situation, mode: Mode, day: dt.date) -> str:
    return f"python -m flows.daily --mode {mode} --game-day {day}{night.facts.options}"


def _listed(items: Sequence[str], most: int) -> str:
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return "; ".join(items[:most]) + more


def _span(span: dt.timedelta) -> str:
    minutes = abs(round(span.total_seconds() / 60))
    if minutes < 120:
        return f"{minutes} minute{'' if minutes == 1 else 's'}"
    return f"{minutes // 60} hours {minutes % 60} minutes" if minutes < 48 * 60 else f"{minutes // 1440} days"
