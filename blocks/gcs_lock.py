"""A lock that any number of machines share: an object in a bucket, held as long as its holder goes on renewing it."""

from __future__ import annotations

import datetime as dt
import json
import logging
import threading
import uuid
from dataclasses import dataclass

from google.api_core import exceptions

from blocks.gcs import NEVER_WRITTEN, GcsObjects
from blocks.locks import Clock, Lock

logger = logging.getLogger(__name__)
LASTS = dt.timedelta(minutes=5)  # without renewal; more than clocks that the guard lets work may differ by
RENEWED_EVERY_S = 60.0


@dataclass(frozen=True)
class _Lease:
    """What the object says: who holds the lock, by a token that nobody else has, and until when."""

    holder: str
    token: str
    until: dt.datetime | None  # None: released

    @property
    def body(self) -> bytes:
        until = self.until.isoformat() if self.until else None
        return json.dumps({"holder": self.holder, "token": self.token, "until": until}).encode()

    @classmethod
    def of(cls, body: bytes) -> _Lease:
        said = json.loads(body)
        return cls(said["holder"], said["token"], dt.datetime.fromisoformat(said["until"]) if said["until"] else None)


class GcsLock(Lock):
    """Whoever takes or renews it says which generation of the object was read, so of two at once one is let through.

    A holder that is cut off for longer than `lasts` is taken for gone, and learns of it at its next renewal, which it
    logs, or by asking whether the lock is still its own. Until then two may be at work, which costs work twice and no
    data: writes are whole, and replace.
    """

    poll_s = 5.0

    def __init__(
        self,
        objects: GcsObjects,
        name: str,
        clock: Clock,
        lasts: dt.timedelta = LASTS,
        renewed_every_s: float = RENEWED_EVERY_S,
    ) -> None:
        self.objects, self.name, self.clock, self.lasts = objects, name, clock, lasts
        self.renewed_every_s = renewed_every_s
        self._generation = NEVER_WRITTEN
        self._lease: _Lease | None = None
        self._released = threading.Event()
        self._renewing: threading.Thread | None = None

    def take(self, holder: str) -> bool:
        """See Lock.take."""
        there, generation = self._read()
        if self._is_held(there):
            return False
        self._generation = generation
        if not self._write(_Lease(holder, uuid.uuid4().hex, self.clock() + self.lasts)):
            return False
        self._released.clear()
        self._renewing = threading.Thread(target=self._renew_until_released, name=f"lock {self.name}", daemon=True)
        self._renewing.start()
        return True

    def release(self) -> None:
        """See Lock.release. What cannot be said to the bucket now is over by itself before long."""
        if self._renewing is None or self._lease is None:
            return
        self._released.set()
        self._renewing.join()
        self._renewing = None
        try:
            self._write(_Lease(self._lease.holder, self._lease.token, None))
        except Exception as error:  # the work is done, and must not fail because of this
            logger.warning("%s could not be released: it is free in %s (%s)", self._address, self.lasts, error)

    def still_mine(self) -> bool:
        """See Lock.still_mine. By the bucket, now: a machine that was suspended knows nothing of it by itself."""
        there, _ = self._read()
        return there is not None and self._lease is not None and there.token == self._lease.token

    def holder(self) -> str | None:
        """See Lock.holder."""
        there, _ = self._read()
        return there.holder if there is not None and self._is_held(there) else None

    def let_go(self) -> bool:
        """See Lock.let_go."""
        there, _ = self._read()
        return there is not None and not self._is_held(there)

    def _renew_until_released(self) -> None:
        while not self._released.wait(self.renewed_every_s):
            assert self._lease is not None
            try:
                if not self._write(_Lease(self._lease.holder, self._lease.token, self.clock() + self.lasts)):
                    logger.error("%s was taken over: %s was cut off for too long", self._address, self._lease.holder)
                    return
            except Exception as error:  # whatever keeps this renewal from the bucket, the next one may get through
                logger.warning("%s could not be renewed, and is tried again (%s)", self._address, error)

    def _write(self, lease: _Lease) -> bool:
        """Let the object say this, if nobody else has written it since."""
        try:
            self._generation = self.objects.replace(self.name, lease.body, self._generation)
        except exceptions.PreconditionFailed:
            there, generation = self._read()
            if there != lease:  # else it was ours: carried out, its answer lost, and asked again
                return False
            self._generation = generation
        self._lease = lease
        return True

    def _read(self) -> tuple[_Lease | None, int]:
        try:
            body, generation = self.objects.get_with_generation(self.name)
        except FileNotFoundError:
            return None, NEVER_WRITTEN
        return _Lease.of(body), generation

    def _is_held(self, lease: _Lease | None) -> bool:
        return lease is not None and lease.until is not None and self.clock() < lease.until

    @property
    def _address(self) -> str:
        return self.objects.address(self.name)
