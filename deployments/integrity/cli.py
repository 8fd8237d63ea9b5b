"""The command line: one command per verb, each a few lines around the module that does it."""

from __future__ import annotations

import getpass
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.console import Console
from rich.table import Table

from .builder import build as build_release
from .digest import compare, read_tree
from .envelope import Envelope, open_envelope, private_key, public_text
from .finding import IntegrityError
from .manifest import Predicate, json_schema, read_payload, wrap
from .probe import remember_linked
from .project import find_root, read_project
from .registry import Registry, Unreachable
from .release import RELEASE_FILE, Site
from .rollout import local_key, roll_out

REFUSED = 1
app = typer.Typer(
    name="integrity",
    help="Build, sign, register and verify releases.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console(soft_wrap=True, highlight=False)

Root = Annotated[Path | None, typer.Option("--root", help="The project's root; default: the nearest integrity.toml")]
KeyFile = Annotated[
    Path | None,
    typer.Option("--key", envvar="INTEGRITY_SIGNING_KEY", help="PEM file of the ed25519 private key"),
]
Role = Annotated[str, typer.Option("--role", help="which role of integrity.toml")]
By = Annotated[str | None, typer.Option("--by", help="who does this; default: the user of this machine")]
Reason = Annotated[str, typer.Option("--reason", help="why; kept in the registry")]


@app.command()
def keygen(
    out: Annotated[Path, typer.Argument(help="where to write the private key (PEM, mode 600)")],
) -> None:
    """Make a signing key and print the public one for `trusted_keys`."""
    if out.exists():
        raise ValueError(f"{out} is there already: a signing key is never written over")
    console.print(public_text(local_key(out).public_key()))


@app.command()
def pubkey(key: Annotated[Path, typer.Argument(help="PEM file of the private key")]) -> None:
    """Print the public half of a signing key, for `trusted_keys` or INTEGRITY_TRUSTED_KEYS."""
    console.print(public_text(_key(key).public_key()))


@app.command()
def build(
    role: Role,
    root: Root = None,
    release: Annotated[
        int | None, typer.Option("--release", min=1, help="release number; default: number of commits")
    ] = None,
    allow_dirty: Annotated[
        bool, typer.Option("--allow-dirty", help="build from uncommitted files; marked for ever")
    ] = False,
    lock: Annotated[
        str | None, typer.Option("--lock", help="what was installed from; default: integrity.toml's")
    ] = None,
) -> None:
    """Look at everything, refuse what is broken or uncommitted, write the unsigned release file."""
    site = Site.here(root)
    built = build_release(site.root, role, datetime.now(UTC), release, allow_dirty, lock)
    site.release_file.write_bytes(wrap(built.predicate).to_bytes())
    remember_linked(site, built.predicate)
    console.print(built.report.text())
    _describe(built.predicate, wrap(built.predicate))
    console.print(f"written to {RELEASE_FILE}, not signed yet")


@app.command()
def sign(root: Root = None, key: KeyFile = None) -> None:
    """Sign the release file."""
    site = Site.here(root)
    envelope, predicate = site.unsigned()
    signed = envelope.sign(_key(key))
    site.release_file.write_bytes(signed.to_bytes())
    console.print(f"{predicate.release.version} signed by {', '.join(s.keyid for s in signed.signatures)}")


@app.command()
def show(
    root: Root = None,
    version: Annotated[bool, typer.Option("--version", help="only the version, for prefect.yaml")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="the whole statement")] = False,
) -> None:
    """Print the release file that lies here."""
    envelope, predicate = Site.here(root).unsigned()
    if version:
        print(predicate.release.version)
    elif as_json:
        print(json.dumps(json.loads(envelope.payload), indent=2, sort_keys=True))
    else:
        _describe(predicate, envelope)


@app.command()
def verify(
    root: Root = None,
    local: Annotated[bool, typer.Option("--local", help="only the tree against the release file")] = False,
    role: Annotated[str | None, typer.Option("--role", help="the role expected here")] = None,
    full: Annotated[bool, typer.Option("--full", help="also imports, links and the project's checks")] = False,
) -> None:
    """Check what lies here; exit 0 if it is the release, 1 and every reason if not."""
    from .guard import Question, verify_fully, verify_local
    from .guard import verify as verify_release

    site = Site.here(root)
    if local:
        report = verify_local(site, full)
    else:
        question = Question(_project(site), role or site.unsigned()[1].role)
        check = verify_fully if full else verify_release
        report = check(site, question, datetime.now(UTC)).report
    console.print(report.text())
    if not report.ok:
        raise typer.Exit(REFUSED)


@app.command()
def schema() -> None:
    """Print the JSON Schema of the signed statement."""
    print(json.dumps(json_schema(), indent=2))


@app.command()
def diff(
    one: Annotated[Path, typer.Argument(help="a release file")],
    other: Annotated[Path | None, typer.Argument(help="another; default: what lies here")] = None,
    root: Root = None,
) -> None:
    """Name the files that differ between two releases, or between a release and what is here; exit 1 if any."""
    first = _read(one)
    if other is not None:
        second = _read(other)
        name, files = second.release.version, second.code.files
    else:
        site = Site.here(root)
        name, files = "here", dict(read_tree(site.root, first.code.ships, first.code.ignore).files)
    difference = compare(first.code.files, files)
    for label, names in (
        ("changed", difference.changed),
        (f"only in {first.release.version}", difference.missing),
        (f"only in {name}", difference.added),
    ):
        for path in names:
            console.print(f"{label}: {path}")
    if difference:
        raise typer.Exit(REFUSED)
    console.print(f"{first.release.version} and {name}: the same {len(files)} files")


@app.command()
def register(
    pool: Annotated[
        list[str] | None,
        typer.Option("--pool", help="work pools (repeatable); default: the project file's"),
    ] = None,
    reason: Reason = "deploy",
    by: By = None,
    root: Root = None,
    key: KeyFile = None,
) -> None:
    """Make the release that lies here the expected one of its role, on the Prefect server."""
    site = Site.here(root)
    envelope, predicate = site.signed()
    pools = tuple(pool or read_project(site.root).role(predicate.role).pools)
    with Registry.connect(site.keys) as registry:
        record = registry.register(envelope, predicate, pools, _key(key), datetime.now(UTC), _person(by), reason)
    console.print(
        f"{record.project}/{record.role}: release {record.expected.version} is expected "
        f"on {', '.join(record.pools) or 'no pool'} (record {record.sequence})"
    )


@app.command()
def rollout(
    into: Annotated[Path, typer.Option("--into", help="folder for releases: <into>/<version>/<role>")],
    role: Annotated[list[str] | None, typer.Option("--role", help="roles (repeatable); default: all")] = None,
    allow_dirty: Annotated[bool, typer.Option("--allow-dirty", help="uncommitted files too; marked for ever")] = False,
    new_key: Annotated[bool, typer.Option("--new-key", help="make the signing key if there is none")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="version, folders and variables for a script")] = False,
    reason: Reason = "deploy",
    by: By = None,
    root: Root = None,
    key: KeyFile = None,
) -> None:
    """Build, lay out, sign and register every role of this tree under one number; repeated, it changes nothing."""
    signing = local_key(key) if key and new_key else _key(key)
    here = root.resolve() if root else find_root(Path.cwd())
    done = roll_out(here, into, signing, datetime.now(UTC), _person(by), reason, role, allow_dirty=allow_dirty)
    if as_json:
        roles = {
            name: {"folder": str(item.folder), "pools": item.pools, "environment": item.environment()}
            for name, item in done.roles.items()
        }
        print(json.dumps({"version": done.version, "fresh": done.fresh, "roles": roles}, indent=2))
        return
    console.print(f"release {done.version} is {'now expected' if done.fresh else 'expected already'}")
    for name, item in done.roles.items():
        console.print(f"{name:>14}  on {', '.join(item.pools) or 'no pool'}: {item.folder}")


@app.command()
def rollback(
    role: Role,
    to: Annotated[int, typer.Option("--to", help="release number to go back to")],
    reason: Reason,
    by: By = None,
    root: Root = None,
    key: KeyFile = None,
) -> None:
    """Make an earlier registered release the expected one again; recorded with name and reason."""
    site = Site.here(root)
    with Registry.connect(site.keys) as registry:
        record = registry.rollback(_project(site), role, to, _key(key), datetime.now(UTC), _person(by), reason)
    console.print(f"{role}: release {record.expected.version} is expected again ({reason})")


@app.command()
def override(
    role: Role,
    allow: Annotated[list[str], typer.Option("--allow", help="code of the finding to let through (repeatable)")],
    hours: Annotated[float, typer.Option("--hours", min=0.1, max=168, help="for how long")],
    reason: Reason,
    by: By = None,
    root: Root = None,
    key: KeyFile = None,
) -> None:
    """Let findings of these codes through for some hours; recorded, and shown on every run it lets through."""
    now = datetime.now(UTC)
    site = Site.here(root)
    with Registry.connect(site.keys) as registry:
        registry.override(
            _project(site),
            role,
            tuple(allow),
            now + timedelta(hours=hours),
            _key(key),
            now,
            _person(by),
            reason,
        )
    console.print(f"{role}: {', '.join(allow)} let through for {hours:g} h by {_person(by)}: {reason}")


@app.command()
def history(role: Role, root: Root = None) -> None:
    """Print the role's chain of records, oldest first, every signature and link checked."""
    site = Site.here(root)
    with Registry.connect(site.keys) as registry:
        records = registry.history(_project(site), role)
    table = Table("record", "at", "what", "expected", "by", "reason")
    for record in records:
        table.add_row(
            str(record.sequence),
            record.at.isoformat(timespec="seconds"),
            record.kind,
            record.expected.version,
            record.by,
            record.reason,
        )
    console.print(table)


def _read(path: Path) -> Predicate:
    """What a release file says, its signature not looked at. Raises ValueError for a file that is none."""
    try:
        return read_payload(open_envelope(path.read_bytes()).payload)
    except (ValueError, OSError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"{path} is no release file ({why}): give the path of a release.json") from None


def _project(site: Site) -> str:
    return read_project(site.root).project


def _person(by: str | None) -> str:
    return by or getpass.getuser()


def _key(path: Path | None) -> Ed25519PrivateKey:
    if path is None:
        raise ValueError("no signing key: pass --key or set INTEGRITY_SIGNING_KEY to the PEM file `keygen` wrote")
    return private_key(path.read_bytes())


def _describe(predicate: Predicate, envelope: Envelope) -> None:
    release, runtime = predicate.release, predicate.runtime
    rows: dict[str, Any] = {
        "release": f"{release.version}{'  DIRTY' if release.dirty else ''}",
        "role": f"{predicate.project}/{predicate.role}",
        "code": f"{predicate.code.digest[:12]} over {len(predicate.code.files)} files",
        "manifest": envelope.digest[:12],
        "signed by": ", ".join(s.keyid for s in envelope.signatures) or "nobody",
        "built, expires": f"{release.built_at:%Y-%m-%d %H:%M}Z, {release.expires_at:%Y-%m-%d}",
        "entrypoints": ", ".join(e.name for e in predicate.entrypoints) or "none",
        "packages": f"{len(predicate.packages.installed)}, {len(predicate.packages.unlocked)} not as locked",
        "python": f"{runtime.implementation} {runtime.python} on {runtime.platform}",
        "artifacts": ", ".join(f"{n} {a.sha256[:12]}" for n, a in predicate.artifacts.items()) or "none",
        "facts": ", ".join(f"{k}={v.value}" for k, v in predicate.facts.items()) or "none",
        "settings": ", ".join(runtime.settings) or "none",
    }
    for name, value in rows.items():
        console.print(f"{name:>14}  {value}")


def main() -> None:
    """Run the command; a refusal or a faulty input is one readable message and exit code 1."""
    try:
        app()
    except IntegrityError as error:
        console.print(error.report.text())
        raise SystemExit(REFUSED) from None
    except (ValueError, OSError, RuntimeError, Unreachable) as error:
        console.print(f"integrity: {error}")
        raise SystemExit(REFUSED) from None
