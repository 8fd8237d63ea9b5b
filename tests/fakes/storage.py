"""A Cloud Storage for tests: the JSON API as far as it is used here, with the preconditions that emulators ignore."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
import uuid
from dataclasses import dataclass
from typing import Any

import google_crc32c

from tests.fakes.http import Answer, Fake, Refused, Request, parts_of, route

OBJECTS = "/storage/v1/b/{}/o"


@dataclass(frozen=True)
class Stored:
    """One generation of an object."""

    resource: dict[str, Any]
    body: bytes


class FakeStorage(Fake):
    """Buckets must be named here."""

    def __init__(self, *buckets: str) -> None:
        super().__init__()
        self.buckets: dict[str, dict[str, Stored]] = {name: {} for name in buckets}
        self.sessions: dict[str, tuple[str, dict[str, Any], dict[str, str], bytes]] = {}
        self._generations = itertools.count(1_700_000_000_000_000)

    def forget(self) -> None:
        """Begin anew with empty buckets."""
        with self.lock:
            for bucket in self.buckets.values():
                bucket.clear()
            self.faults.clear()
            self.requests.clear()

    def bucket(self, name: str) -> dict[str, Stored]:
        if name not in self.buckets:
            raise Refused(404, "notFound", "The specified bucket does not exist.")
        return self.buckets[name]

    def upload(self, request: Request, bucket: str) -> Answer:
        if request.query["uploadType"] == "multipart":
            return self._store(bucket, *parts_of(request), request.query)
        key, kind = uuid.uuid4().hex, request.headers["x-upload-content-type"]
        self.sessions[key] = (bucket, {**request.json, "contentType": kind}, request.query, b"")
        return Answer({}, headers={"Location": f"http://{request.headers['host']}/resumable/{key}"})

    def upload_chunk(self, request: Request, key: str) -> Answer:
        bucket, resource, query, body = self.sessions[key]
        found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", request.headers["content-range"])
        assert found is not None
        body = body[: int(found[1])] + request.body
        self.sessions[key] = (bucket, resource, query, body)
        if found[3] == "*" or len(body) < int(found[3]):
            return Answer(None, 308, {"Range": f"bytes=0-{len(body) - 1}"})
        return self._store(bucket, resource, body, query)

    def _store(self, bucket: str, resource: dict[str, Any], body: bytes, query: dict[str, str]) -> Answer:
        objects, name = self.bucket(bucket), resource.get("name") or query["name"]
        self._expect(objects.get(name), query)
        crc = base64.b64encode(google_crc32c.Checksum(body).digest()).decode()
        if resource.get("crc32c", crc) != crc:
            raise Refused(400, "invalid", "Provided CRC32C doesn't match calculated")
        generation = str(next(self._generations))
        stored = {
            **resource,
            "kind": "storage#object",
            "name": name,
            "bucket": bucket,
            "generation": generation,
            "metageneration": "1",
            "size": str(len(body)),
            "crc32c": crc,
            "md5Hash": base64.b64encode(hashlib.md5(body).digest()).decode(),
        }
        objects[name] = Stored(stored, body)
        return Answer(stored)

    def _expect(self, there: Stored | None, query: dict[str, str]) -> None:
        wanted = query.get("ifGenerationMatch")
        if wanted is not None and wanted != (there.resource["generation"] if there else "0"):
            raise Refused(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")

    def _find(self, bucket: str, name: str) -> Stored:
        if name not in self.bucket(bucket):
            raise Refused(404, "notFound", f"No such object: {bucket}/{name}")
        return self.buckets[bucket][name]

    def get(self, request: Request, bucket: str, name: str) -> Answer:
        found = self._find(bucket, name)
        if request.query.get("alt") != "media":
            return Answer(found.resource)
        said = found.resource
        headers = {
            "Content-Type": said.get("contentType", "application/octet-stream"),
            "X-Goog-Hash": f"crc32c={said['crc32c']},md5={said['md5Hash']}",
            "X-Goog-Generation": said["generation"],
            "X-Goog-Metageneration": "1",
        }
        return Answer(found.body, headers=headers)

    def list(self, request: Request, bucket: str) -> Answer:
        prefix = request.query.get("prefix", "")
        names = sorted(name for name in self.bucket(bucket) if name.startswith(prefix))
        return Answer({"kind": "storage#objects", "items": [self.buckets[bucket][name].resource for name in names]})

    def delete(self, request: Request, bucket: str, name: str) -> Answer:
        self._expect(self._find(bucket, name), request.query)
        del self.buckets[bucket][name]
        return Answer(None, 204)

    routes = [
        route("POST", "/upload" + OBJECTS)(upload),
        route("PUT", "/resumable/{}")(upload_chunk),
        route("GET", OBJECTS + "/{}")(get),
        route("GET", "/download" + OBJECTS + "/{}")(get),
        route("GET", OBJECTS)(list),
        route("DELETE", OBJECTS + "/{}")(delete),
    ]
