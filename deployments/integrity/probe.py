"""The slow look at a release, in a process of its own: import and link all modules, load the entrypoints,
ask the
project's facts and checks. Parent: `run_probe`. Child: `python -m <package>.probe`, a request on stdin, JSON
out.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .digest import canonical_json, sha256_bytes
from .finding import Finding
from .linkcheck import Fault, check_modules, module_name

TIMEOUT_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Probe:
    """What the child saw. `entrypoints` maps a name to the digest of its parameter schema."""

    faults: tuple[Fault, ...]
    entrypoints: Mapping[str, str]
    facts: Mapping[str, str | int | bool]
    problems: tuple[str, ...]

    def findings(self) -> list[Finding]:
        """One finding per kind of fault, each with all its places."""
        result = []
        fixes = {
            "name": "define or import the name; ruff F821 and mypy see many of these earlier",
            "attribute": "the module has no such name: correct it, or pin the package that has",
            "import": (
                "install what is missing, or name the package in optional_imports if its absence is intended"
            ),
            "unshipped": "add the module to the role's `ships`, or stop importing it",
            "origin": "another copy is first on the import path: remove it, or start from the release's root",
            "entrypoint": "the flow must load: correct the name in integrity.toml, or the module",
            "fact": "the project's fact must return a str, int or bool",
        }
        for kind, fix in fixes.items():
            places = tuple(f"{f.where}: {f.text}" for f in self.faults if f.kind == kind)
            if places:
                result.append(
                    Finding(
                        f"link.{kind}", "every name to resolve", f"{len(places)} that do not", fix, places
                    )
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
        return {
            k: _without_texts(v) for k, v in value.items() if not (k == "description" and isinstance(v, str))
        }
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
    answer_to = os.dup(1)
    os.dup2(2, 1)  # whatever project code prints must not mix with the answer
    answer = json.dumps(_answer(json.load(sys.stdin)))
    with os.fdopen(answer_to, "w") as stream:
        stream.write(answer)


if __name__ == "__main__":
    _main()
