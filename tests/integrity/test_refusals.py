"""What the check before a run must catch, one promise a test; every test damages a good, signed release."""

from __future__ import annotations

import importlib.util
import os
import py_compile
import shutil
import sys
import zoneinfo
from datetime import timedelta
from pathlib import Path

import pytest

from deployments.integrity.envelope import EnvelopeError, key_id
from deployments.integrity.finding import IntegrityError, Report, raise_if_refused
from deployments.integrity.packages import Distribution
from deployments.integrity.release import Site
from deployments.integrity.verifier import check_origin

from .conftest import BUILT_AT, KEY, NOW, STRANGER, Placed, place, record_for, with_release


def test_a_good_release_is_admitted_without_a_word(placed: Placed) -> None:
    assert placed.findings() == []


def test_another_roles_image_is_refused_and_both_identities_named(
    placed: Placed, built: dict[str, Path], tmp_path: Path
) -> None:
    wrong = place(built["analytics"], tmp_path / "wrong")
    wrong.record = placed.record
    finding = wrong.refusals()["manifest.role"]
    assert "precompute" in finding.expected
    assert "analytics" in finding.found
    assert "analytics" in finding.fix


def test_a_service_variable_does_not_change_the_identity(
    placed: Placed, built: dict[str, Path], tmp_path: Path
) -> None:
    wrong = place(built["analytics"], tmp_path / "wrong")
    wrong.record = placed.record
    for name in ("SERVICE", "ROLE", "INTEGRITY_ROLE", "K_SERVICE"):
        wrong.site.environment[name] = "precompute"  # type: ignore[index]
    assert "manifest.role" in wrong.refusals()


def test_an_older_release_is_refused_even_though_it_is_validly_signed(placed: Placed) -> None:
    newer = record_for(*_signed_as(placed, number=9))
    placed.rewrite(lambda p: with_release(p, number=7))
    placed.record = newer
    assert placed.refusals()["release.older"].expected.startswith("release 9+")


def test_a_newer_release_that_nobody_registered_is_refused(placed: Placed) -> None:
    placed.rewrite(lambda p: with_release(p, number=8))
    assert placed.refusals()["release.unregistered"].found.startswith("release 8+")


def test_a_release_that_was_rolled_back_is_refused(placed: Placed) -> None:
    placed.rewrite(lambda p: with_release(p, number=8))
    placed.record = placed.record.model_copy(update={"highest": 8})
    assert "release.withdrawn" in placed.refusals()


def test_two_builds_under_one_number_are_told_apart(placed: Placed) -> None:
    placed.rewrite(lambda p: with_release(p, built_at=BUILT_AT + timedelta(hours=1)))
    assert "release.content" in placed.refusals()


def test_one_byte_changed_in_one_file_is_named(placed: Placed) -> None:
    path = placed.root / "kiosk_steps" / "work.py"
    path.write_bytes(path.read_bytes().replace(b"a + b", b"a - b"))
    assert placed.refusals()["tree.changed"].names == ("kiosk_steps/work.py",)


def test_a_changed_data_file_is_named_too(placed: Placed) -> None:
    (placed.root / "kiosk_steps" / "queries" / "days.sql").write_text("select 2\n")
    assert placed.refusals()["tree.changed"].names == ("kiosk_steps/queries/days.sql",)


def test_a_missing_file_is_named(placed: Placed) -> None:
    (placed.root / "kiosk_steps" / "work.py").unlink()
    assert placed.refusals()["tree.missing"].names == ("kiosk_steps/work.py",)


@pytest.mark.parametrize(
    ("added", "code"),
    [
        ("kiosk_steps/late/__init__.py", "tree.added"),
        ("kiosk_steps/extra.py", "tree.added"),
        ("kiosk_steps/work.pyc", "tree.shadow"),
        ("kiosk_steps/work.cpython-311-x86_64-linux-gnu.so", "tree.added"),
        ("json.py", "tree.shadow"),
        ("prefect/__init__.py", "tree.shadow"),
        ("pydantic.py", "tree.shadow"),
    ],
)
def test_an_added_file_that_shadows_a_module_is_refused(placed: Placed, added: str, code: str) -> None:
    path = placed.root / added
    path.parent.mkdir(exist_ok=True)
    path.write_text("")
    finding = placed.refusals()[code]
    assert added.removesuffix("/__init__.py") in {n.removesuffix("/__init__.py") for n in finding.names}


def test_a_folder_linked_into_the_tree_is_refused(placed: Placed, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (placed.root / "kiosk_steps" / "more").symlink_to(outside)
    assert placed.refusals()["tree.shadow"].names == ("kiosk_steps/more",)


def _leave_bytecode_of_other_code(source: Path, mode: py_compile.PycInvalidationMode) -> None:
    """What a clamped mtime does: bytecode of old code that claims to belong to the file that is there now."""
    good, facts = source.read_bytes(), source.stat()
    source.write_bytes(good.replace(b"a + b", b"a - b"))
    os.utime(source, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    py_compile.compile(str(source), invalidation_mode=mode, doraise=True)
    source.write_bytes(good)
    os.utime(source, ns=(facts.st_atime_ns, facts.st_mtime_ns))


@pytest.mark.parametrize(
    "mode", [py_compile.PycInvalidationMode.TIMESTAMP, py_compile.PycInvalidationMode.UNCHECKED_HASH]
)
def test_stale_bytecode_that_python_would_run_is_refused(placed: Placed, mode: py_compile.PycInvalidationMode) -> None:
    source = placed.root / "kiosk_steps" / "work.py"
    _leave_bytecode_of_other_code(source, mode)
    spec = importlib.util.spec_from_file_location("stale_proof", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.add(1, 2) == -1, "Python runs the stale code: this is the fault"
    assert placed.refusals()["tree.bytecode"].names == ("kiosk_steps/work.py",)


def test_bytecode_found_good_once_does_not_hide_bytecode_that_went_stale(placed: Placed) -> None:
    source = placed.root / "kiosk_steps" / "work.py"
    py_compile.compile(str(source), doraise=True)
    assert placed.refusals() == {}
    _leave_bytecode_of_other_code(source, py_compile.PycInvalidationMode.TIMESTAMP)
    assert "tree.bytecode" in placed.refusals()


def test_a_changed_lock_is_refused(placed: Placed) -> None:
    with (placed.root / "requirements.lock").open("a") as lock:
        lock.write("left-pad==1.0\n")
    assert placed.refusals()["packages.lock"].names == ("requirements.lock",)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"version": "0.0.1"}, "-> 0.0.1"),
        ({"record": "0" * 32}, "0" * 32),
    ],
)
def test_one_package_at_another_version_or_content_is_named(
    placed: Placed, monkeypatch: pytest.MonkeyPatch, change: dict[str, str], text: str
) -> None:
    from dataclasses import replace

    from deployments.integrity import verifier

    here = dict(verifier.installed())
    here["polars"] = replace(here["polars"], **change)
    monkeypatch.setattr(verifier, "installed", lambda: here)
    (name,) = placed.refusals()["packages.installed"].names
    assert name.startswith("polars ")
    assert text in name


def test_a_missing_and_an_extra_package_are_both_named(placed: Placed, monkeypatch: pytest.MonkeyPatch) -> None:
    from deployments.integrity import verifier

    here = dict(verifier.installed())
    del here["polars"]
    here["left-pad"] = Distribution("left-pad", "1.0", "", Path())
    monkeypatch.setattr(verifier, "installed", lambda: here)
    names = placed.refusals()["packages.installed"].names
    assert [n.split()[0] for n in names] == ["left-pad", "polars"]


def test_a_swapped_model_file_is_refused(placed: Placed) -> None:
    (placed.root / "store" / "model.txt").write_text("tree\nnum_leaves=4\n")
    assert "model" in placed.refusals()["artifact.changed"].expected


def test_a_missing_model_file_is_refused(placed: Placed) -> None:
    (placed.root / "store" / "model.txt").unlink()
    assert "artifact.missing" in placed.refusals()


def test_lost_settings_are_all_named_at_once(placed: Placed) -> None:
    placed.site.environment.clear()  # type: ignore[attr-defined]
    placed.site.environment["KIOSK_ALERTS"] = "   "  # type: ignore[index]
    assert placed.refusals()["runtime.setting"].names == ("KIOSK_ALERTS", "KIOSK_STORE")


def test_a_setting_of_the_wrong_type_is_refused_and_its_value_not_shown(placed: Placed) -> None:
    placed.site.environment["KIOSK_ALERTS"] = "hunter2"  # type: ignore[index]
    finding = placed.refusals()["runtime.setting"]
    assert finding.names == ("KIOSK_ALERTS (should be url)",)
    assert "hunter2" not in finding.line()


def test_absent_zone_data_is_refused(placed: Placed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tzdata", None)
    zoneinfo.reset_tzpath(to=[])
    zoneinfo.ZoneInfo.clear_cache()
    try:
        assert "America/New_York" in placed.refusals()["runtime.zone"].expected
    finally:
        zoneinfo.reset_tzpath()
        zoneinfo.ZoneInfo.clear_cache()


def test_zone_data_that_computes_another_local_time_is_refused(placed: Placed, tmp_path: Path) -> None:
    utc = zoneinfo.ZoneInfo("Etc/UTC")
    target = tmp_path / "zones" / "America" / "New_York"
    target.parent.mkdir(parents=True)
    import tzdata

    shutil.copy(Path(tzdata.__file__).parent / "zoneinfo" / "Etc" / "UTC", target)
    zoneinfo.reset_tzpath(to=[str(tmp_path / "zones")])
    zoneinfo.ZoneInfo.clear_cache()
    try:
        assert placed.refusals()["runtime.zone"].expected.endswith("in America/New_York")
    finally:
        zoneinfo.reset_tzpath()
        zoneinfo.ZoneInfo.clear_cache()
    assert utc.key == "Etc/UTC"


@pytest.mark.parametrize("minutes", [-10, 10])
def test_a_clock_ten_minutes_off_the_servers_is_refused(placed: Placed, minutes: int) -> None:
    placed.server_time = NOW - timedelta(minutes=minutes)
    assert placed.refusals()["runtime.clock"].found.startswith("600 s")


def test_an_edited_manifest_is_refused(placed: Placed) -> None:
    envelope, predicate = placed.site.unsigned()
    from deployments.integrity.envelope import Envelope
    from deployments.integrity.manifest import wrap

    edited = Envelope(envelope.payload_type, wrap(with_release(predicate, number=8)).payload, envelope.signatures)
    placed.site.release_file.write_bytes(edited.to_bytes())
    with pytest.raises(EnvelopeError, match="edited after signing"):
        placed.findings()


def test_a_stripped_signature_is_refused(placed: Placed) -> None:
    placed.rewrite(lambda p: p, key=None)
    with pytest.raises(EnvelopeError, match="no signature"):
        placed.findings()


def test_a_manifest_signed_by_another_key_is_refused_and_both_keys_named(placed: Placed) -> None:
    placed.rewrite(lambda p: p, key=STRANGER)
    with pytest.raises(EnvelopeError) as caught:
        placed.findings()
    assert key_id(STRANGER.public_key()) in str(caught.value)
    assert key_id(KEY.public_key()) in str(caught.value)


def test_a_missing_release_file_is_refused(placed: Placed) -> None:
    placed.site.release_file.unlink()
    with pytest.raises(EnvelopeError, match=r"release\.json can't be read"):
        placed.findings()


def test_a_manifest_of_another_project_is_refused(placed: Placed) -> None:
    placed.rewrite(lambda p: p.model_copy(update={"project": "other"}))
    finding = placed.refusals()["manifest.project"]
    assert (finding.expected, finding.found) == ("project kiosk", "project other")


def test_an_expired_release_is_refused(placed: Placed) -> None:
    placed.now = placed.server_time = BUILT_AT + timedelta(days=91)
    assert "release.expired" in placed.refusals()


def test_another_python_is_refused(placed: Placed) -> None:
    placed.rewrite(lambda p: p.model_copy(update={"runtime": p.runtime.model_copy(update={"python": "3.10.4"})}))
    assert "3.10" in placed.refusals()["runtime.python"].expected


def test_packages_imported_from_elsewhere_are_refused(placed: Placed, tmp_path: Path) -> None:
    (tmp_path / "other" / "kiosk_flows").mkdir(parents=True)
    (tmp_path / "other" / "kiosk_flows" / "__init__.py").write_text("")
    search = [str(tmp_path / "other"), str(placed.root)]
    (finding,) = check_origin(placed.root, ["kiosk_flows", "kiosk_steps"], search)
    assert finding.code == "tree.origin"
    assert list(check_origin(placed.root, ["kiosk_flows", "kiosk_steps"], search[::-1])) == []


def test_every_reason_is_told_not_only_the_first(placed: Placed) -> None:
    (placed.root / "kiosk_steps" / "work.py").unlink()
    (placed.root / "store" / "model.txt").unlink()
    placed.site.environment.clear()  # type: ignore[attr-defined]
    placed.rewrite(lambda p: with_release(p, number=8))
    report = Report("run", tuple(placed.findings()))
    with pytest.raises(IntegrityError) as caught:
        raise_if_refused(report)
    for code in ("tree.missing", "artifact.missing", "runtime.setting", "release.unregistered"):
        assert code in str(caught.value)


def test_trust_can_come_from_outside_the_image(placed: Placed) -> None:
    from deployments.integrity.envelope import public_text

    (placed.root / "integrity.toml").write_text((placed.root / "integrity.toml").read_text() + "\n")
    outside = {"INTEGRITY_TRUSTED_KEYS": public_text(STRANGER.public_key())}
    site = Site.here(placed.root, outside)
    assert set(site.keys) == {key_id(STRANGER.public_key())}
    with pytest.raises(EnvelopeError, match="trusted are"):
        site.signed()


def _signed_as(placed: Placed, **changes: object):  # type: ignore[no-untyped-def]
    from deployments.integrity.manifest import wrap

    predicate = with_release(placed.manifest(), **changes)
    return wrap(predicate).sign(KEY), predicate
