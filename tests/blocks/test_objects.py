"""What objects and publications promise, in a folder or a bucket: whole, never lost, replaced as one."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from blocks.objects import LocalObjects, ObjectConflict, Objects
from blocks.publications import KEPT_VERSIONS, MANIFEST, LocalPublications, Publications
from blocks.workspace import WorkspaceError
from tests.fakes.http import Cut, Refused

DAY = dt.date(2025, 12, 29)
BACKENDS = ["folder", "bucket"]


@pytest.fixture(params=BACKENDS)
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    if request.param == "folder":
        return LocalObjects(folder=tmp_path)
    from blocks.gcs import GcsObjects

    cloud = request.getfixturevalue("cloud")
    cloud.forget()
    return GcsObjects(bucket=cloud.bucket("pipeline"), folder="objects", patience_s=5)


@pytest.fixture(params=BACKENDS)
def publications(request: pytest.FixtureRequest, tmp_path: Path) -> Publications:
    if request.param == "folder":
        return LocalPublications(tmp_path)
    from blocks.gcs import GcsObjects, GcsPublications

    cloud = request.getfixturevalue("cloud")
    cloud.forget()
    return GcsPublications(GcsObjects(bucket=cloud.bucket(), folder="publications", patience_s=5))


def files(version: str) -> dict[str, bytes]:
    return {"rows.json": version.encode(), MANIFEST: json.dumps({"version": version}).encode()}


def test_an_object_comes_back_byte_for_byte(objects: Objects) -> None:
    objects.create("a/b c/ö.bin", bytes(range(256)))
    assert objects.get("a/b c/ö.bin") == bytes(range(256))
    assert objects.address("a").endswith("a")


def test_an_object_of_a_name_is_the_same_for_ever(objects: Objects) -> None:
    objects.create("name", b"first")
    objects.create("name", b"first")
    with pytest.raises(ObjectConflict, match="name exists and holds something else"):
        objects.create("name", b"second")
    assert objects.get("name") == b"first"


def test_of_many_who_create_a_name_at_once_one_does(objects: Objects) -> None:
    def create(n: int) -> bool:
        try:
            objects.create("race", b"%d" % n)
        except ObjectConflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(create, range(16)))
    assert [n for n, one in enumerate(won) if one] == [int(objects.get("race"))]


def test_names_are_listed_by_their_beginning(objects: Objects) -> None:
    for name in ("b/2", "a/1", "b/1", "bb"):
        objects.create(name, b"")
    assert objects.names() == ["a/1", "b/1", "b/2", "bb"]
    assert objects.names("b/") == ["b/1", "b/2"]
    assert objects.names("c") == []


def test_what_is_not_there_is_not_found(objects: Objects) -> None:
    with pytest.raises(FileNotFoundError):
        objects.get("nothing")


def test_a_large_object_comes_back(objects: Objects) -> None:
    body = bytes(9 * 2**20 + 1)
    objects.create("large", body)
    assert objects.get("large") == body


def test_a_publication_is_the_newest_version_whole(publications: Publications) -> None:
    assert publications.read(DAY, MANIFEST) is None
    for version in ("20251229T1", "20251229T3", "20251229T2"):
        where = publications.replace(DAY, version, files(version))
        assert DAY.isoformat() in where
    assert publications.read(DAY, MANIFEST) == files("20251229T3")[MANIFEST]
    assert publications.read(DAY, "rows.json") == b"20251229T3"
    assert publications.read(DAY, "nothing.json") is None
    assert publications.read(DAY - dt.timedelta(days=1), MANIFEST) is None


def test_a_few_older_versions_stay_for_who_is_reading_them(publications: Publications, request: Any) -> None:
    versions = [f"20251229T{n}" for n in range(KEPT_VERSIONS + 2)]
    for version in versions:
        publications.replace(DAY, version, files(version))
    if isinstance(publications, LocalPublications):
        left = {path.name for path in (publications.folder / ".versions" / str(DAY)).iterdir()}
    else:
        names = publications.objects.names(f".versions/{DAY}/")  # type: ignore[attr-defined]
        left = {name.split("/")[2] for name in names}
    assert left == set(versions[-KEPT_VERSIONS:])


def test_publishers_at_once_leave_one_whole_publication_and_never_an_older_one(publications: Publications) -> None:
    if isinstance(publications, LocalPublications):
        pytest.skip("one machine publishes to a folder, one day at a time")
    versions = [f"20251229T{n:02}" for n in range(10)]
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda version: publications.replace(DAY, version, files(version)), versions))
    assert publications.read(DAY, "rows.json") == b"20251229T09"


# In the bucket only


@pytest.mark.parametrize("after", [False, True], ids=["before", "after it was carried out"])
@pytest.mark.parametrize("fault", [lambda: Refused(503, "backendError", "try again"), Cut], ids=["503", "lost"])
def test_a_passing_fault_is_ridden_out(
    cloud: Any, monkeypatch: pytest.MonkeyPatch, after: bool, fault: Callable[[], Exception]
) -> None:
    from blocks.gcs import GcsObjects

    monkeypatch.setattr("google.api_core.retry.retry_unary.time.sleep", lambda _: None)
    cloud.forget()
    objects = GcsObjects(bucket=cloud.bucket(), patience_s=5)
    cloud.storage.fails("POST /upload", fault, after=after, times=2)
    objects.create("name", b"body")
    assert objects.get("name") == b"body"


def test_a_publisher_that_dies_before_its_pointer_has_published_nothing(cloud: Any) -> None:
    from blocks.gcs import GcsObjects, GcsPublications

    cloud.forget()
    publications = GcsPublications(GcsObjects(bucket=cloud.bucket(), patience_s=0.1))
    publications.replace(DAY, "20251229T1", files("20251229T1"))

    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GcsPublications, "_point", dies)
        with pytest.raises(KeyboardInterrupt):
            publications.replace(DAY, "20251229T2", files("20251229T2"))
    assert publications.read(DAY, "rows.json") == b"20251229T1"
    publications.replace(DAY, "20251229T2", files("20251229T2"))
    assert publications.read(DAY, "rows.json") == b"20251229T2"


def test_caches_keep_versions_for_ever_and_ask_again_for_the_pointer(cloud: Any) -> None:
    from blocks.gcs import GcsObjects, GcsPublications
    from tests.fakes.cloud import BUCKET

    cloud.forget()
    GcsPublications(GcsObjects(bucket=cloud.bucket())).replace(DAY, "20251229T1", files("20251229T1"))
    said = {
        name: (stored.resource["contentType"], stored.resource["cacheControl"])
        for name, stored in cloud.storage.buckets[BUCKET].items()
    }
    assert said[f"{DAY}/manifest.json"] == ("application/json", "no-cache")
    immutable = ("application/json", "private, max-age=31536000, immutable")
    assert said[f".versions/{DAY}/20251229T1/rows.json"] == immutable


def test_a_workspace_in_the_cloud_holds_results_from_one_origin_only(cloud: Any) -> None:
    cloud.forget()
    cloud.workspace("sqlite://").claim("the simulated league")
    cloud.workspace("sqlite://").claim("the simulated league")
    with pytest.raises(
        WorkspaceError, match=r"pipeline/ holds results from the simulated league, not from the folder x"
    ):
        cloud.workspace("sqlite://").claim("the folder x")
