"""Which errors may pass by themselves and which need a person: decided here, and nowhere else."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from enum import StrEnum

from sqlalchemy.exc import InterfaceError, OperationalError

TRIES = 3  # of one attempt: a first one and two more, for a transient fault only
FIRST_DELAY_S = 2  # then twice that; each up to half as long again, so that many do not come back at once
JITTER = 0.5
TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
TRANSIENT_ERRNO = frozenset(
    {errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.ETIMEDOUT, errno.ESTALE, errno.ENETUNREACH, errno.EHOSTUNREACH}
)
TRANSIENT_NAMES = frozenset(
    {
        *("TransportError", "ConnectError", "ReadTimeout", "ConnectTimeout", "RemoteProtocolError"),  # httpx
        *("ServiceUnavailable", "TooManyRequests", "DeadlineExceeded", "InternalServerError", "BadGateway"),  # Google
    }
)


class Fault(StrEnum):
    """TRANSIENT: trying again later may help. PERMANENT: it will not; somebody has to change something.

    INPUT: an input is not there. Trying again helps when the input is, and not before.
    """

    TRANSIENT = "transient"
    PERMANENT = "permanent"
    INPUT = "input"


def fault_of(error: BaseException) -> Fault:
    """The class of an error, by the first opinion in its chain of causes; what nobody knows is permanent.

    An error may say it of itself, with an attribute `fault` or a boolean `transient`, or by the HTTP status it carries.
    """
    opinions = (opinion for cause in _chain(error) if (opinion := _opinion(cause)) is not None)
    return next(opinions, Fault.PERMANENT)


def cause_of(error: BaseException) -> str:
    """What lies at the root of an error, in a word by which like failures are told from others."""
    root = list(_chain(error))[-1]
    status = _status(root)
    return f"{type(root).__name__} {status}" if status is not None else type(root).__name__


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error, what it was raised from, and so on; what was merely being handled meanwhile is no cause."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__


def _opinion(error: BaseException) -> Fault | None:
    said = getattr(error, "fault", None)
    if isinstance(said, Fault):
        return said
    passes = getattr(error, "transient", None)
    if isinstance(passes, bool):
        return Fault.TRANSIENT if passes else Fault.PERMANENT
    status = _status(error)
    if status is not None:
        return Fault.TRANSIENT if status in TRANSIENT_STATUS else Fault.PERMANENT
    named = any(kind.__name__ in TRANSIENT_NAMES for kind in type(error).__mro__)
    passing = isinstance(error, (ConnectionError, TimeoutError, OperationalError, InterfaceError))
    if named or passing or (isinstance(error, OSError) and error.errno in TRANSIENT_ERRNO):
        return Fault.TRANSIENT
    return None


def _status(error: BaseException) -> int | None:
    """The HTTP status of an error, where it carries one."""
    response = getattr(error, "response", None)
    for holder, name in ((response, "status_code"), (error, "status_code"), (error, "code")):
        value = getattr(holder, name, None)
        if isinstance(value, int) and 100 <= value <= 599:
            return int(value)
    return None
