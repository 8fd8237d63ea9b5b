"""Files a release relies on outside its packages, such as a model: their paths, digests, and whether they are
the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from .digest import sha256_file
from .finding import Finding
from .manifest import Artifact


def read_artifacts(
    root: Path, paths: Mapping[str, str], environment: Mapping[str, str]
) -> tuple[dict[str, Artifact], list[Finding]]:
    """Digest every artifact; a finding for each that can't be read."""
    artifacts, findings = {}, []
    for name, text in sorted(paths.items()):
        try:
            artifacts[name] = Artifact(path=text, sha256=sha256_file(artifact_path(root, text, environment)))
        except OSError as error:
            findings.append(
                Finding("artifact.missing", f"{name} at {text}", type(error).__name__, "train or fetch it first")
            )
    return artifacts, findings


def artifact_path(root: Path, text: str, environment: Mapping[str, str]) -> Path:
    """An artifact's path with `${NAME}` filled in from the environment, relative ones under `root`."""
    for name, value in environment.items():
        text = text.replace("${" + name + "}", value)
    return root / text


def check_artifacts(root: Path, artifacts: Mapping[str, Artifact], environment: Mapping[str, str]) -> Iterator[Finding]:
    """Files outside the packages (a model) against their digests."""
    for name, artifact in artifacts.items():
        path = artifact_path(root, artifact.path, environment)
        try:
            found = sha256_file(path)
        except OSError as error:
            yield Finding(
                "artifact.missing",
                f"{name} at {artifact.path}",
                type(error).__name__,
                "put the release's file there",
            )
            continue
        if found != artifact.sha256:
            yield Finding(
                "artifact.changed",
                f"{name} {artifact.sha256[:12]}",
                found[:12],
                "put the release's file back, or build a release with the new one",
                (artifact.path,),
            )
