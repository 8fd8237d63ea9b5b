"""The slow look at a release, in a process of its own: import and link all modules, load the entrypoints, ask
the project's facts and checks. Parent: `run_probe`. Child: `python -m <package>.probe`, a request on stdin,
JSON out.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .digest import canonical_json, sha256_bytes
from .finding import Finding
from .linkcheck import Fault, check_modules, module_name
from .manifest import Predicate
from .packages import installed
from .release import Site
from .runtime import interpreter

TIMEOUT_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Probe:
    """What the child saw. `entrypoints` maps a name to the digest of its parameter schema."""

    faults: tuple[Fault, ...]
    entrypoints: Mapping[str, str]
    facts: Mapping[str, str | int | bool]
    problems: tuple[str, ...]

    def of_role(self, entrypoints: Iterable[str], facts: Mapping[str, str]) -> Probe:
        """What concerns one role of several that were looked at together, facts (asked by source) by their names."""
        mine = {"entrypoint": set(entrypoints), "fact": set(facts.values())}
        return Probe(
            faults=tuple(f for f in self.faults if f.kind not in mine or f.where in mine[f.kind]),
            entrypoints={name: self.entrypoints[name] for name in mine["entrypoint"] & self.entrypoints.keys()},
            facts={name: self.facts[source] for name, source in facts.items() if source in self.facts},
            problems=self.problems,
        )

    def findings(self) -> list[Finding]:
        """One finding per kind of fault, each with all its places."""
        result = []
        fixes = {
            "name": "define or import the name; ruff F821 and mypy see many of these earlier",
            "attribute": "the module has no such name: correct it, or pin the package that has",
            "import": ("install what is missing, or name the package in optional_imports if its absence is intended"),
            "unshipped": "add the module to the role's `ships`, or stop importing it",
            "origin": "another copy is first on the import path: remove it, or start from the release's root",
            "entrypoint": "the flow must load: correct the name in integrity.toml, or the module",
            "fact": "the project's fact must return a str, int or bool",
        }
        for kind, fix in fixes.items():
            places = tuple(f"{f.where}: {f.text}" for f in self.faults if f.kind == kind)
            if places:
                result.append(
                    Finding(f"link.{kind}", "every name to resolve", f"{len(places)} that do not", fix, places)
                )
        if self.problems:
            result.append(
                Finding(
                    "runtime.check",
                    "the project's own checks to pass",
                    f"{len(self.problems)} problems",
                    "each sentence names its cause",
                    self.problems,
                )
            )
        return result


def run_probe(
    root: Path,
    modules: Iterable[str],
    roots: Iterable[str],
    optional: Iterable[str],
    entrypoints: Iterable[str],
    facts: Mapping[str, str],
    checks: Iterable[str] = (),
) -> Probe:
    """Start the child in `root` with this interpreter and read its answer; RuntimeError if it gives none."""
    request = {
        "root": str(root),
        "modules": list(modules),
        "roots": list(roots),
        "optional": list(optional),
        "entrypoints": list(entrypoints),
        "facts": dict(facts),
        "checks": list(checks),
    }
    here = str(Path(__file__).resolve().parents[__package__.count(".") + 1])
    path = os.pathsep.join(dict.fromkeys([str(root), *filter(None, [os.environ.get("PYTHONPATH"), here])]))
    done = subprocess.run(
        [sys.executable, "-P", "-m", f"{__package__}.probe"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        cwd=root,
        # The probe is itself the guard's; the plugin hook would only check the same tree a second time.
        env={**os.environ, "PYTHONPATH": path, "PREFECT_PLUGINS_ENABLED": "0"},
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        tail = (done.stderr or done.stdout).strip()[-2000:]
        raise RuntimeError(f"the probe died with exit code {done.returncode}: {tail}") from None
    return Probe(
        faults=tuple(Fault(**fault) for fault in answer["faults"]),
        entrypoints=answer["entrypoints"],
        facts=answer["facts"],
        problems=tuple(answer["problems"]),
    )


def probe_findings(site: Site, manifest: Predicate, ask_project: bool = True) -> list[Finding]:
    """The slow part, in a process of its own: imports, links, entrypoints, facts, the project's checks.

    A tree that was imported and linked without a fault, with the same packages on the same interpreter, is
    remembered (an image can do it while it is built: `verify --local --full`). Facts and checks, which may
    need the service's settings, are asked each time if `ask_project`.
    """
    linked = _Linked(site, manifest)
    known = linked.is_known()
    facts = {name: fact.source for name, fact in manifest.facts.items()} if ask_project else {}
    checks = manifest.checks if ask_project else ()
    if known and not facts and not checks:
        return []
    probe = run_probe(
        site.root,
        [] if known else manifest.code.files,
        manifest.code.roots,
        manifest.optional_imports,
        [] if known else [e.name for e in manifest.entrypoints],
        facts,
        checks,
    )
    findings = [*probe.findings(), *_drift(probe, manifest)]
    if not findings and not known:
        linked.remember()
    return findings


def remember_linked(site: Site, manifest: Predicate) -> None:
    """Say that this release was imported and linked here without a fault, as `build` has just done."""
    _Linked(site, manifest).remember()


def _drift(probe: Probe, manifest: Predicate) -> Iterator[Finding]:
    drifted = tuple(e.name for e in manifest.entrypoints if probe.entrypoints.get(e.name, e.parameters) != e.parameters)
    if drifted:
        yield Finding(
            "link.parameters",
            "entrypoints with the parameters of the release",
            f"{len(drifted)} with others",
            "a dependency changed a parameter's type; build a release with it",
            drifted,
        )
    changed = tuple(
        f"{name} {fact.value!r} -> {probe.facts[name]!r}"
        for name, fact in manifest.facts.items()
        if name in probe.facts and probe.facts[name] != fact.value
    )
    if changed:
        fix = "what the project says of itself depends on this place: correct it, or build a release here"
        yield Finding("runtime.fact", "the facts of the release", "others", fix, changed)


class _Linked:
    """The memory of what was linked without a fault: one empty file per tree, packages and interpreter."""

    def __init__(self, site: Site, manifest: Predicate):
        here = {name: [d.version, d.record, str(d.folder)] for name, d in installed().items()}
        place = [manifest.code.digest, manifest.optional_imports, interpreter(), sys.version, here]
        self._file = site.memory / f"linked-{sha256_bytes(canonical_json(place))[:32]}"

    def is_known(self) -> bool:
        return self._file.is_file()

    def remember(self) -> None:
        """Best effort: without the memory the next start is slower, never less strict."""
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.touch()


def parameters_digest(flow: Any) -> str:
    """Digest of a flow's parameter schema, its documentation texts left out; TypeError if it is no Prefect
    flow.
    """
    schema = getattr(flow, "parameters", None)
    if schema is None or not hasattr(schema, "model_dump"):
        raise TypeError(f"{flow!r} is not a Prefect flow")
    return sha256_bytes(canonical_json(_without_texts(schema.model_dump(mode="json"))))


def _without_texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_texts(v) for k, v in value.items() if not (k == "description" and isinstance(v, str))}
    return [_without_texts(v) for v in value] if isinstance(value, list) else value


def load(dotted: str) -> Any:
    """The object behind `module:name` or `path/to/module.py:name`."""
    module, _, name = dotted.partition(":")
    return getattr(importlib.import_module(module_name(module)), name)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    root = Path(request["root"])
    faults = check_modules(root, request["modules"], request["roots"], request["optional"])
    entrypoints: dict[str, str] = {}
    facts: dict[str, Any] = {}
    problems: list[str] = []
    for name in request["entrypoints"]:
        try:
            entrypoints[name] = parameters_digest(load(name))
        except Exception as error:
            faults.append(Fault("entrypoint", name, f"{type(error).__name__}: {error}"))
    for key, dotted in request["facts"].items():
        try:
            value = load(dotted)
            facts[key] = value() if callable(value) else value
            if not isinstance(facts[key], (str, int, bool)):
                raise TypeError(f"{facts[key]!r} is neither str, int nor bool")
        except Exception as error:
            facts.pop(key, None)
            faults.append(Fault("fact", key, f"{dotted}: {type(error).__name__}: {error}"))
    for dotted in request["checks"]:
        try:
            problems.extend(f"{dotted}: {sentence}" for sentence in load(dotted)())
        except Exception as error:
            problems.append(f"{dotted} raised {type(error).__name__}: {error}")
    return {
        "faults": [asdict(fault) for fault in faults],
        "entrypoints": entrypoints,
        "facts": facts,
        "problems": problems,
    }


def _main() -> None:
    gc.disable()  # a short life full of imports: looking for cycles costs a tenth of it
    answer_to = os.dup(1)
    os.dup2(2, 1)  # whatever project code prints must not mix with the answer
    answer = json.dumps(_answer(json.load(sys.stdin)))
    with os.fdopen(answer_to, "w") as stream:
        stream.write(answer)
    sys.stderr.flush()
    os._exit(0)  # taking 4,000 modules down in order costs a second, and nothing of them is needed any more


if __name__ == "__main__":
    _main()
