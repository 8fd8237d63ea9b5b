"""A build of the Dockerfile without an engine: the same RUN and COPY steps, in a root folder of their own.

Each stage is a folder made root by chroot, with this machine's /usr, /etc and Python in place of the base image.
Left out is what needs the base image itself: apt-get, useradd and the USER that they make.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

HOST = ("usr", "etc", "opt", "root", "dev", "proc")
LEFT_OUT = ("apt-get ", "useradd ")


@dataclass
class Stage:
    """One stage of the build: its root folder, its environment and what it starts."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    command: list[str] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)

    def run(self, script: str, mounts: Mapping[Path, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a shell script in this root; `mounts` are further folders or files and where they are to be seen."""
        lines = ["set -e"]
        for source, target in {**{Path("/", name): f"/{name}" for name in HOST}, **(mounts or {})}.items():
            place = self.root / target.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.mkdir(exist_ok=True) if source.is_dir() else place.touch()
            lines.append(f"mount --rbind {shlex.quote(str(source))} {shlex.quote(str(place))}")
        inside = f"cd {self.workdir} && {script}"
        lines.append(f"exec chroot {shlex.quote(str(self.root))} /bin/sh -ec {shlex.quote(inside)}")
        environment = {name: value for name, value in os.environ.items() if name.startswith(("PATH", "PIP_"))}
        return subprocess.run(
            ["unshare", "--mount", "/bin/sh", "-c", "\n".join(lines)],
            env={**environment, **self.environment, "HOME": "/tmp"},
            capture_output=True,
            text=True,
            check=False,
        )


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """The Dockerfile's instructions, continued lines joined, comments left out."""
    lines = [line for line in dockerfile.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    found = (line.strip().partition(" ") for line in joined.splitlines() if line.strip())
    return [(name, rest.strip()) for name, _, rest in found]


def build(context: Path, into: Path, arguments: Mapping[str, str], secrets: Mapping[str, Path]) -> Stage:
    """Carry the Dockerfile of `context` out and return its last stage. Raises CalledProcessError with what was said."""
    stages: dict[str, Stage] = {}
    stage = Stage(into)
    for number, (name, rest) in enumerate(instructions(context / "Dockerfile")):
        values = {**arguments, **stage.environment}
        match name:
            case "FROM":
                parent, _, label = rest.partition(" AS ")
                stage = _staged(into / (label or "last"), stages.get(_filled(parent, values)))
                stages[label or "last"] = stage
            case "ENV":
                for item in shlex.split(rest):
                    key, _, value = item.partition("=")
                    stage.environment[key] = _filled(value, {**os.environ, **values})
            case "WORKDIR":
                stage.workdir = rest
                (stage.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
            case "COPY":
                _copy(rest, context, stage, stages)
            case "RUN":
                _run(rest, context, stage, arguments, secrets)
            case "CMD":
                stage.command = json.loads(rest)
            case "ARG" | "USER":
                pass
            case _:
                raise ValueError(f"instruction {number}: this build knows no {name}")
    return stage


def _staged(root: Path, parent: Stage | None) -> Stage:
    root.mkdir(parents=True)
    if parent is None:
        for link in ("bin", "lib", "lib64"):
            (root / link).symlink_to(f"usr/{link}")
        (root / "tmp").mkdir()
        return Stage(root)
    for path in parent.root.iterdir():
        if path.name not in HOST:
            _copied(path, root / path.name)
    return Stage(root, dict(parent.environment), parent.workdir)


def _copy(rest: str, context: Path, stage: Stage, stages: Mapping[str, Stage]) -> None:
    found = re.match(r"--from=(\w+) ", rest)
    source, target = shlex.split(rest[found.end() :] if found else rest)
    origin = stages[found[1]].root / source.lstrip("/") if found else context / source
    place = stage.root / target.lstrip("/")
    _copied(origin, place / origin.name if origin.is_file() and place.is_dir() else place)


def _copied(source: Path, target: Path) -> None:
    """As stages share layers: a second name for every file. No step changes a file that an earlier one has made."""
    subprocess.run(["cp", "-al" if source.is_dir() else "-a", "-T", source, target], check=True)


def _run(rest: str, context: Path, stage: Stage, arguments: Mapping[str, str], secrets: Mapping[str, Path]) -> None:
    mounts: dict[Path, str] = {}
    for said in re.findall(r"--mount=(\S+)", rest):
        option = dict(item.partition("=")[::2] for item in said.split(","))
        mounts[context if option["type"] == "bind" else secrets[option["id"]]] = option["target"]
    script = re.sub(r"--mount=\S+ *", "", rest)
    if script.startswith(LEFT_OUT):
        return
    exports = "".join(f"export {name}={shlex.quote(value)}; " for name, value in arguments.items())
    done = stage.run(exports + script, mounts)
    stage.ran.append(script)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, script, done.stdout, done.stderr)


def _filled(text: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\$\{?(\w+)\}?", lambda found: values.get(found[1], ""), text)
