"""A PostgreSQL of a test's own, where the machine has one."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PROGRAMS = ("initdb", "pg_ctl", "postgres")
needs_postgres = pytest.mark.skipif(
    any(shutil.which(name) is None for name in PROGRAMS), reason="PostgreSQL (initdb, pg_ctl) is not installed"
)


@contextmanager
def running_postgres() -> Iterator[str]:
    """An empty database as user@host:port/name, run by an unprivileged user since it refuses to be run by root."""
    as_user: list[str] = []
    folder = Path(tempfile.mkdtemp(prefix="courtside-postgres-"))
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("PostgreSQL does not run as root, and setpriv is not installed")
        shutil.chown(folder, "nobody", "nogroup")
        as_user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data, log = folder / "data", folder / "log"
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories= -c fsync=off"

    def run(*command: str) -> None:
        subprocess.run([*as_user, *command], check=True, cwd=folder, timeout=120, stdout=subprocess.DEVNULL)

    try:
        run("initdb", "-D", str(data), "-A", "trust", "-U", "courtside", "--no-sync", "-E", "UTF8", "--locale=C")
        run("pg_ctl", "-D", str(data), "-w", "-l", str(log), "-o", options, "start")
        try:
            yield f"courtside@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "-D", str(data), "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
