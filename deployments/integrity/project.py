"""How a project plugs in: `integrity.toml` at its root, read and validated. It holds names, no code."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

PROJECT_FILE = "integrity.toml"

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]
PoolName = Annotated[str, StringConstraints(pattern=r"^[^/%&><\s]{1,100}$")]
Glob = Annotated[str, StringConstraints(pattern=r"^[^/\\].*$")]
Dotted = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
EntrypointName = Annotated[str, StringConstraints(pattern=r"^[\w/]+\.py:[A-Za-z_]\w*$")]
SettingType = Literal["str", "int", "float", "bool", "url", "path", "json"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Policy(_Strict):
    """What the guard tolerates; it is copied into each manifest and thereby signed."""

    valid_days: int = Field(default=90, ge=1, le=3650)
    grace_seconds: int = Field(
        default=900,
        ge=0,
        le=86_400,
        description="how long the last verified answer of the registry may stand in",
    )
    clock_skew_seconds: int = Field(default=120, ge=1, le=3600)
    run_versions: Literal["auto-upgrade", "pinned"] = Field(
        default="auto-upgrade",
        description="auto-upgrade: a run made under an older release may run on a newer one; pinned: only on its own",
    )


class RoleSpec(_Strict):
    """What one role ships and needs, and the work pools that it is registered for."""

    pools: tuple[PoolName, ...] = ()
    ships: tuple[Glob, ...] = ()
    entrypoints: tuple[EntrypointName, ...] = ()
    settings: dict[str, SettingType] = {}
    artifacts: dict[Slug, str] = {}
    facts: dict[Slug, Dotted] = {}
    checks: tuple[Dotted, ...] = ()


class ProjectSpec(_Strict):
    """The whole project file.

    `roots` are the top-level packages; `ships` and `settings` here hold for every role and a role's own are
    added. `artifacts` name files outside the packages (a model); `${NAME}` in them is read from the
    environment. `facts` and `checks` are `module:attribute` of the project: a fact is a value or a function
    without parameters that returns one; a check takes none and returns a list of sentences, each a reason to
    refuse (an empty list is good). `zones` maps a time zone to sentences `UTC instant = local instant` that
    must come out so.
    """

    project: Slug
    roots: tuple[str, ...] = Field(min_length=1)
    lock: str = "requirements.lock"
    ships: tuple[Glob, ...] = ()
    ignore: tuple[Glob, ...] = ()
    settings: dict[str, SettingType] = {}
    optional_imports: tuple[str, ...] = ()
    allow_packages: tuple[str, ...] = ("pip", "setuptools", "wheel", "uv")
    zones: dict[str, tuple[str, ...]] = {}
    trusted_keys: tuple[str, ...] = ()
    policy: Policy = Policy()
    roles: dict[Slug, RoleSpec] = Field(min_length=1)

    def role(self, name: str) -> RoleSpec:
        """The role with the project-wide entries merged in; ValueError names the roles there are."""
        if name not in self.roles:
            raise ValueError(f"{PROJECT_FILE}: no role {name!r}; it has {', '.join(sorted(self.roles))}")
        own = self.roles[name]
        ships = tuple(dict.fromkeys((PROJECT_FILE, *self.ships, *own.ships)))
        return own.model_copy(update={"ships": ships, "settings": {**self.settings, **own.settings}})


def read_project(root: Path) -> ProjectSpec:
    """Read `integrity.toml` in `root`; ValueError names the file, the field and what is wrong with it."""
    path = root / PROJECT_FILE
    try:
        return ProjectSpec.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ValueError(f"{PROJECT_FILE} is not in {root}; the guard needs it to know what a role ships") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{PROJECT_FILE}: not valid TOML: {error}") from None
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ValueError(f"{PROJECT_FILE}: {faults}") from None


def find_root(start: Path) -> Path:
    """The nearest folder at or above `start` that holds the project file; ValueError if there is none."""
    for folder in (start, *start.parents):
        if (folder / PROJECT_FILE).is_file():
            return folder
    raise ValueError(f"no {PROJECT_FILE} in {start} or above it; run from the project, or name its root")
