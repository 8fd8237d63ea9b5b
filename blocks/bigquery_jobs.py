"""Running jobs in BigQuery so that a repetition is harmless: one name per intent, and what may be retried is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.api_core import exceptions
from google.api_core.retry import Retry
from google.auth.exceptions import TransportError
from google.cloud import bigquery

from blocks.warehouse import WarehouseError

# A job that failed for one of these, or a request that did, may succeed a moment later.
PASSING_REASONS = {"backendError", "internalError", "rateLimitExceeded", "jobRateLimitExceeded", "badGateway"}
PASSING_ERRORS = (
    OSError,  # whatever the connection may suffer: the client's own errors are of this kind
    exceptions.ServiceUnavailable,
    exceptions.InternalServerError,
    exceptions.BadGateway,
    exceptions.GatewayTimeout,
    exceptions.TooManyRequests,
    TransportError,
)
REQUEST_SECONDS = 60.0


def is_passing(error: BaseException) -> bool:
    """Whether a later try may succeed. A daily quota that is used up (quotaExceeded) is not of that kind."""
    reasons = {item.get("reason") for item in getattr(error, "errors", None) or [] if isinstance(item, dict)}
    if reasons - {None}:
        return bool(reasons & PASSING_REASONS)
    return isinstance(error, PASSING_ERRORS)


@dataclass(frozen=True)
class Jobs:
    """Jobs of one client. `patience_s` bounds how long passing faults of one job are ridden out."""

    client: bigquery.Client
    patience_s: float

    @property
    def retry(self) -> Retry:
        """For single requests and for whole jobs alike."""
        return Retry(predicate=is_passing, initial=0.5, maximum=20.0, multiplier=2.0, timeout=self.patience_s)

    def run(self, name: str, submit: Callable[[str], Any], only_once: bool = False) -> Any:
        """Run the job that `submit` starts under the id that it is given, and return it done.

        `name` stands for the intent. BigQuery runs an id once: if our answer was lost on the way, the second request is
        told that the id exists, and waits for the first. A job that has failed keeps its id, so the next try is
        numbered. So is the next of a job that somebody had done before we asked: what it wrote may have been replaced
        since, unless it is one to be done `only_once` for ever. Raises WarehouseError with BigQuery's reason; then
        nothing of the job was written.
        """
        attempt = 1
        asked: set[str] = set()

        def once() -> Any:
            nonlocal attempt
            job_id = f"{name}-{attempt}"
            before = job_id in asked
            asked.add(job_id)
            try:
                job = submit(job_id)
            except exceptions.Conflict:
                job = self.client.get_job(job_id, retry=self.retry, timeout=REQUEST_SECONDS)
                if job.state == "DONE" and not before and not (only_once and job.error_result is None):
                    attempt += 1
                    return once()
            try:
                return job.result(retry=self.retry)
            except exceptions.GoogleAPICallError:
                attempt += job.state == "DONE"
                raise

        try:
            return self.retry(once)()
        except exceptions.RetryError as error:
            raise WarehouseError(
                f"BigQuery job {name}-{attempt} did not succeed within {self.patience_s:.0f} s, and nothing of it is "
                f"relied on: {error.cause}"
            ) from error
        except (exceptions.GoogleAPICallError, OSError, TransportError) as error:
            raise WarehouseError(
                f"BigQuery job {name}-{attempt} failed, and nothing of it was written: {error}"
            ) from error
