"""Which code a run is: proven when it begins, stamped on everything it writes, and the same until it ends."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from prefect.context import FlowRunContext

from deployments.integrity import preflight
from deployments.integrity.preflight import Fingerprint

ROOT = Path(__file__).resolve().parent.parent
DIGITS = 32  # of the digest over all files: 128 bits, so that a stamp fits a column and a line


def prove() -> Fingerprint:
    """The code that runs here. Raises IntegrityError if a deployment made this run and this is not its release."""
    return preflight.fingerprint(root=ROOT)


def unchanged(code: Fingerprint) -> None:
    """Raises IntegrityError if the files are no longer those that were proven: what was imported late may be others."""
    preflight.unchanged(code)


def stamp(code: Fingerprint) -> str:
    """As it stands on rows: `42+31544709b3d4 sha256:7c30...`, or `unreleased sha256:...` from a working copy."""
    return f"{code.release} sha256:{code.code[:DIGITS]}"


def release_of(stamped: str) -> str:
    """The release in a stamp."""
    return stamped.partition(" ")[0]


def hold_to(stamped: str) -> None:
    """Prove that this phase is the code of the run it works for, where it is a run of its own on its own pool.

    Raises IntegrityError before anything is written. In the process of the day's run there is nothing to compare.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None or context.flow_run.deployment_id is None:
        return
    preflight.accept_child(release_of(stamped), prove().labels)


def accept(stamped: str, labels: Mapping[str, object]) -> None:
    """Take the results of a run elsewhere. Raises IntegrityError if it was another release, or proved none."""
    preflight.accept_child(release_of(stamped), labels)
