"""Where the pieces of a long flow are worked on: processes of this machine, or workers of a Dask cluster."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flows.run import code_fingerprint

if TYPE_CHECKING:
    from distributed import Client

LOCAL = "local"
THREADS = "OMP_NUM_THREADS"  # OpenBLAS, MKL and OpenMP heed it


class WorkersError(Exception):
    """Workers that must not be given work, with what to do."""


@contextmanager
def pool_of(workers: int, dask: str | None = None) -> Iterator[Executor]:
    """An executor of so many processes; with `dask`, of a cluster: its scheduler's address, or `local` for one here.

    Each worker does one piece at a time, so that the memory needed is that of so many pieces, and calculates on one
    thread, as Dask's do. A piece whose Dask worker dies is done again by another. Raises WorkersError for workers of
    other code than ours.
    """
    if dask is None:
        spawn = multiprocessing.get_context("spawn")
        with _one_thread_each(), ProcessPoolExecutor(workers, mp_context=spawn) as pool:
            yield pool
        return
    with _client(workers, dask) as client:
        _hold_code(client)
        yield client.get_executor(pure=False)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started in here multiply matrices on one thread each, unless the environment says otherwise.

    With a thread a core in each, they would spend as long spinning in wait for each other as calculating. Only the
    environment reaches them before they import numpy.
    """
    if THREADS in os.environ:
        yield
        return
    os.environ[THREADS] = "1"
    try:
        yield
    finally:
        del os.environ[THREADS]


@contextmanager
def _client(workers: int, dask: str) -> Iterator[Client]:
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise WorkersError("Dask is not installed: pip install courtside[dask]") from error
    if dask != LOCAL:
        with Client(dask) as client:
            yield client
        return
    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client


def _hold_code(client: Client) -> None:
    """A worker imports what lies on its own machine: it has to be what lies here."""
    ours = code_fingerprint()
    others = sorted(address for address, code in client.run(_code_here).items() if code != ours)
    if others:
        raise WorkersError(
            f"{len(others)} Dask workers have other code than this run ({', '.join(others[:3])}): "
            "start them from the same image or checkout"
        )


def _code_here() -> str:
    """Sent by name: what it calls is the worker's own."""
    return code_fingerprint()
