"""A day's run in progress: its plan, what it may know, its gates, and the report that is made of what it finds out."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from blocks.landing import fetched_at
from flows.artifact import post_tonight
from flows.clock import pause, utc_now
from flows.narration import narrate
from flows.phases import ingest, publish, raw, target_list
from flows.release import prove, stamp, unchanged
from flows.report import DayReport, DayState, PhaseReport, coverage_of, eastern, markdown, top_edges
from flows.run import Run, new_run_id
from flows.slate import slate
from tasks.catalog import registry
from tasks.engine.expected import PUBLICATION
from tasks.engine.gate import GOES_ON, Decision, GatePolicy, decide, waits_for_work
from tasks.engine.ledger import State
from tasks.engine.pace import MEASURED, hard_limit, usual_seconds
from tasks.engine.plan import EASTERN, Plan, Step, payloads_of, plan, targets_frame
from tasks.engine.processor import Mode, Phase
from tasks.engine.reconcile import HEAL
from tasks.engine.runner import Outcome
from tasks.predictions.predictions import every_eligible_player_and_system

T = TypeVar("T")
FEATURED_SYSTEM = "ensemble"
POLL_SECONDS = 60.0  # between two looks at a source that has not published everything yet
SOUND = (State.COMPLETE, State.EMPTY_OK)
STILL_COMING = (State.FAILED, State.PARTIAL)
PhaseCall = Callable[[list[Step]], list[Outcome]]


class DayFailed(Exception):
    """A day whose predictions could not be made: carries the report."""

    def __init__(self, report: DayReport) -> None:
        self.report = report
        super().__init__(f"{report.mode} {report.game_day}: " + "; ".join(report.reasons))


class Day:
    """One run in progress.

    `only` narrows it to these outputs and what is made of them; the labels of the others are those of their last run.
    """

    def __init__(
        self,
        mode: Mode,
        game_day: dt.date,
        as_of: dt.datetime | None,
        data: Path | None,
        home: Path,
        gate: GatePolicy | None = None,
        only: Collection[str] | None = None,
    ) -> None:
        now = utc_now()
        self.code = prove()
        run_id = new_run_id(mode, game_day) if only is None else f"{HEAL}{new_run_id(mode, game_day)}"
        probe = Run(
            run_id=run_id,
            mode=mode,
            game_day=game_day,
            as_of=as_of or now,
            data=data,
            home=home,
            fingerprint=stamp(self.code),
            only_missing=tuple(only or ()),
        )
        whole = plan(mode, game_day, slate(probe), registry(), as_of)
        # A run for tonight knows what is known now; one for another day what was known at its usual hour.
        self.live = as_of is None and now.astimezone(EASTERN).date() == game_day and now < (whole.deadline or now)
        known_at = as_of or probe.source.known_at(now, now if self.live else whole.as_of, whole.first_tip_off)
        whole = whole.model_copy(update={"as_of": known_at})
        self.plan: Plan = whole if only is None else whole.only(set(only) - {PUBLICATION}, registry())
        self.run = probe.model_copy(update={"as_of": self.plan.as_of})
        self.narrow = only is not None
        self.targets = target_list(self.plan.targets())
        self.gate = gate or GatePolicy()
        self.landed: dict[str, str] = {}
        self.phases: list[PhaseReport] = []
        self.outcomes: dict[str, Outcome] = {}
        self.model_id: str | None = None
        self.publication: str | None = None
        self._labels: dict[str, str] = {}
        self._began = now  # of the phase in progress
        self._faults_before = self.run.ledger.faults
        first = eastern(self.plan.first_tip_off)
        narrate("plan", mode.value, f"{len(self.plan.games)} games on {game_day}, first tip-off {first}")
        self._take_over_labels({step.processor for step in whole.steps} - {step.processor for step in self.plan.steps})

    @property
    def reasons(self) -> list[str]:
        """Why this day is degraded, in words, one for each output or table that is not what it should be."""
        return list(self._labels.values())

    def time(self, name: str, work: Callable[[], T]) -> T:
        """Do one thing and note how long it took."""
        started = time.perf_counter()
        result = work()
        self.phases.append(PhaseReport(name=name, seconds=time.perf_counter() - started))
        return result

    def ingest(self, kinds: Sequence[str] | None = None) -> None:
        """Fetch these kinds, or what the plan reads.

        A payload that stands in for one that could not be fetched is a label, of the day and of what is made of it.
        """
        asked, began = self.plan.payloads if kinds is None else kinds, utc_now()
        found = ingest(self.run, self.run.game_day, self.run.game_day, list(asked))
        self.landed |= found
        older = {kind: at for kind, name in found.items() if (at := fetched_at(name)) < began}
        why = {kind: f"{kind} could not be fetched: the payload of {_on(at)} stands in" for kind, at in older.items()}
        for kind in asked:
            self._labels.pop(_fetched(kind), None)
        self._labels |= {_fetched(kind): reason for kind, reason in why.items()}
        others = {kind: reason for kind, reason in self.run.stand_ins.items() if kind not in asked}
        self.run = self.run.model_copy(update={"stand_ins": others | why})

    def ask_again(self) -> list[Outcome]:
        """Take in what sources have published by now, and make nothing of it yet."""
        self.ingest()
        return raw(self.run, self.targets, list(self.plan.of(Phase.RAW)), landed=self.landed)

    def phase(self, phase: Phase, subflow: PhaseCall) -> None:
        """Run one phase of the plan and pass its gate. Raises DayFailed if the gate says so."""
        steps = self.plan.of(phase)
        if not steps:
            return
        started, self._began = time.perf_counter(), utc_now()
        self._note(subflow(list(steps)))
        self._wait_for_late_sources(steps, subflow)
        outcomes = tuple(self.outcomes[step.processor] for step in steps)
        self.phases.append(
            PhaseReport(name=phase.name.lower(), seconds=time.perf_counter() - started, outcomes=outcomes)
        )
        decision = self._decide(steps, {step.processor: self.outcomes[step.processor].state for step in steps})
        for step in steps:
            self._label(step.processor, self.outcomes[step.processor])
        if decision.verdict not in GOES_ON:  # nothing is at work any more, so nothing is left to wait for
            raise DayFailed(self.finish(DayState.FAILED))

    def waits_for(self, steps: Sequence[Step], states: Mapping[str, State]) -> bool:
        """Whether to wait on for a phase that is at work elsewhere, by what the ledger has of it so far."""
        return self._ask(waits_for_work, steps, states)

    def _decide(self, steps: Sequence[Step], states: Mapping[str, State]) -> Decision:
        return self._ask(decide, steps, states)

    def _ask(self, question: Callable[..., T], steps: Sequence[Step], states: Mapping[str, State]) -> T:
        """A question to the gate of these steps' phase, with the hours of this day."""
        phase = steps[0].phase
        policy = self.gate.for_sources() if phase == Phase.RAW else self.gate
        return question(
            steps, states, now=utc_now(), since=self._began, hard_limit=self._hard_limit(phase), policy=policy
        )

    def demand_freshness(self) -> None:
        """Hold the tables that this run only reads against the plan. Raises DayFailed if a critical one is stale."""
        needs, there = self.plan.fresh, self.run.workspace.warehouse.partitions
        stale = [need for need in needs if need.through not in there(need.table)]
        for need in stale:
            self._labels[need.table] = f"{need.table} is stale: run overnight for {need.through}, which it lacks"
        if any(need.critical for need in stale):
            raise DayFailed(self.finish(DayState.FAILED))
        narrate("freshness", "checked", f"{len(needs) - len(stale)} of {len(needs)} tables reach the last game day")

    def publish(self, model_id: str | None) -> None:
        """Publish what is in the store, if it is all of one code: nobody deployed into this folder meanwhile."""
        unchanged(self.code)
        self.model_id = model_id
        self.publication = self.time("publish", lambda: publish(self.run, self.plan, self.reasons))

    def _note(self, outcomes: list[Outcome]) -> None:
        self.outcomes |= {outcome.processor: outcome for outcome in outcomes}

    def _label(self, name: str, outcome: Outcome) -> None:
        self._labels.pop(name, None)
        handed_on = bool(outcome.reasons) and set(outcome.reasons) <= set(self.reasons)
        if outcome.state not in SOUND and not (handed_on and outcome.state == State.DEGRADED):
            why = (outcome.error or "; ".join(outcome.reasons)).split("\n")[0]
            self._labels[name] = f"{name} is {outcome.state} ({why})"

    def _wait_for_late_sources(self, steps: tuple[Step, ...], subflow: PhaseCall) -> None:
        """Ask again, in a run of today, for what sources are still publishing, as long as the plan has patience.

        At the end of it the day goes on with what there is, labelled by its gate; self-heal then asks on, and does not
        wait: it comes back.
        """
        limit = self._hard_limit(steps[0].phase)
        while self.live and not self.narrow:
            now = utc_now()
            late = [step for step in steps if step.patience and self.outcomes[step.processor].state in STILL_COMING]
            late = [step for step in late if now < self._began + step.patience]
            if not late or (limit is not None and now >= limit):
                return
            narrate(", ".join(step.processor for step in late), "waiting", "not everything is published yet")
            pause(POLL_SECONDS)
            now = utc_now()
            self._know_until(self.run.source.known_at(now, now, self.plan.first_tip_off))
            self.ingest(payloads_of(late, registry()))
            self._note(subflow(late))

    def _know_until(self, as_of: dt.datetime) -> None:
        self.plan = self.plan.model_copy(update={"as_of": as_of})
        self.run = self.run.model_copy(update={"as_of": as_of})
        self.targets = target_list(targets_frame([(self.run.game_day, as_of)]))

    def _hard_limit(self, phase: Phase) -> dt.datetime | None:
        """The deadline less what the later phases usually take; a run for another day has none."""
        if not self.live:
            return None
        ledger, now = self.run.ledger, utc_now()
        none: list[dict[str, Any]] = []
        runs = ledger.guarded("read durations from", lambda: ledger.runs(since=now - MEASURED), none)
        return hard_limit(self.plan, phase, usual_seconds(runs))

    def _take_over_labels(self, others: Collection[str]) -> None:
        """Outputs of this day that are not made again keep the labels of their last run."""
        if not others:
            return
        ledger, day = self.run.ledger, self.run.game_day
        none: list[dict[str, Any]] = []
        rows = ledger.guarded("read labels from", lambda: ledger.runs(game_day=day, processors=others), none)
        last: dict[str, dict[str, Any]] = {r["processor"]: r for r in rows if r["mode"] == self.run.mode.value}
        for name, row in last.items():
            if State(row["state"]) not in SOUND:
                why = row["error_message"] or "; ".join(row["degraded_reasons"] or []) or "no reason is recorded"
                self._labels[name] = f"{name} is {row['state']} ({str(why).splitlines()[0]})"

    def finish(self, state: DayState, *reasons: str) -> DayReport:
        """The report, as a value and as artifacts of the flow run."""
        report = DayReport(
            run_id=self.run.run_id,
            mode=self.run.mode.value,
            game_day=self.run.game_day,
            as_of=self.run.as_of,
            state=state,
            reasons=(*self.reasons, *reasons, *self._ledger_faults()),
            games=self.plan.games,
            deadline=self.plan.deadline,
            phases=tuple(self.phases),
            model_id=self.model_id,
            publication=self.publication,
        )
        if self.publication is not None:
            report = self._with_predictions(report)
        create_markdown_artifact(markdown(report), key=f"{report.mode.replace('_', '-')}-summary")
        if report.coverage:
            rows = [item.model_dump() for item in report.coverage]
            create_table_artifact(rows, key=f"{report.mode.replace('_', '-')}-coverage")
        if self.run.mode == Mode.SAME_DAY:
            post_tonight(self.run.data, self.run.home, self.run.game_day, utc_now())
        return report

    def _ledger_faults(self) -> list[str]:
        faults = self.run.ledger.faults - self._faults_before
        return [f"the ledger could not take or give {faults} records: what it says of this run is incomplete"] * (
            faults > 0
        )

    def _with_predictions(self, report: DayReport) -> DayReport:
        """Coverage and edges, counted from the store."""
        warehouse, day = self.run.workspace.warehouse, [self.run.game_day]
        stored = warehouse.read(registry()["predictions"].writes.spec, day)
        features = warehouse.read(registry()["ml_feature_store"].writes.spec, day)
        expected = every_eligible_player_and_system({"ml_feature_store": features})
        return report.model_copy(
            update={
                "coverage": coverage_of(stored, expected, self.plan.games),
                "edges": top_edges(stored, FEATURED_SYSTEM),
            }
        )


def _on(at: dt.datetime) -> str:
    """Like Dec 27, 12:30 PM ET: what stands in may be days old."""
    there = at.astimezone(EASTERN)
    return f"{there:%b} {there.day}, {eastern(at)}"


def _fetched(kind: str) -> str:
    """Under which the label of a kind's payload is kept, beside those of outputs and tables."""
    return f"fetch {kind}"
