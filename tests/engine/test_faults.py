"""Which errors are worth a second try, wherever in the chain of causes the reason lies."""

from __future__ import annotations

import errno
import sqlite3

import httpx
import pytest
from sqlalchemy.exc import OperationalError

from tasks.engine.contracts import ContractError
from tasks.engine.faults import Fault, cause_of, fault_of
from tasks.engine.runner import MissingInput
from tasks.sources.base import SourceError


def status(code: int) -> httpx.HTTPStatusError:
    request = httpx.Request("GET", "http://127.0.0.1/rosters")
    return httpx.HTTPStatusError("no", request=request, response=httpx.Response(code, request=request))


class Says(Exception):
    fault = Fault.TRANSIENT


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(),
        TimeoutError(),
        OSError(errno.ETIMEDOUT, "slow disk"),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        status(429),
        status(503),
        OperationalError("SELECT 1", {}, sqlite3.OperationalError("database is locked")),
        Says(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_may_pass_by_itself_is_transient_also_as_a_cause(error: Exception) -> None:
    assert fault_of(error) == Fault.TRANSIENT
    outer = SourceError("the rosters could not be fetched")
    outer.__cause__ = error
    assert fault_of(outer) == Fault.TRANSIENT


@pytest.mark.parametrize(
    "error",
    [
        NameError("name 'espn' is not defined"),
        KeyError("player"),
        SourceError("rosters.csv: no column player"),
        ContractError([]),
        FileNotFoundError(errno.ENOENT, "gone"),
        PermissionError(errno.EACCES, "no"),
        status(404),
        status(401),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_somebody_has_to_change_is_permanent(error: Exception) -> None:
    assert fault_of(error) == Fault.PERMANENT


def test_the_outermost_opinion_counts() -> None:
    class Never(Exception):
        fault = Fault.PERMANENT

    outer = Never()
    outer.__cause__ = TimeoutError()
    assert fault_of(outer) == Fault.PERMANENT


def test_what_was_merely_being_handled_is_no_cause() -> None:
    error = KeyError("player")
    error.__context__ = TimeoutError()
    assert fault_of(error) == Fault.PERMANENT


def test_like_failures_are_told_apart_by_their_root() -> None:
    outer = SourceError("the rosters could not be fetched")
    outer.__cause__ = status(503)
    assert cause_of(outer) == "HTTPStatusError 503"
    assert cause_of(NameError("x")) == "NameError"


def test_a_missing_input_is_worth_a_try_when_the_input_is_there() -> None:
    assert fault_of(MissingInput("no rosters")) == Fault.INPUT
