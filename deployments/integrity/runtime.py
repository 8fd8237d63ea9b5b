"""Whether this machine can run the code: zone data and local time, settings present and typed, clock against
a server.
"""

from __future__ import annotations

import json
import platform
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from .finding import Finding

if TYPE_CHECKING:
    from .project import SettingType


def check_zones(zones: Mapping[str, Iterable[str]]) -> Iterator[Finding]:
    """Each zone must load, and each `UTC instant = local instant` must come out so."""
    for name, instants in zones.items():
        try:
            zone = ZoneInfo(name)
        except Exception as error:  # a damaged file raises ValueError, a missing one a KeyError's kin
            yield Finding(
                "runtime.zone",
                f"time-zone data for {name}",
                f"none ({type(error).__name__})",
                "install the tzdata package, or the system's zone files, in the image",
            )
            continue
        for sentence in instants:
            utc, local = (datetime.fromisoformat(part.strip()) for part in sentence.split("=", 1))
            came_out = utc.astimezone(zone)
            if came_out.isoformat() != local.isoformat():
                yield Finding(
                    "runtime.zone",
                    f"{utc.isoformat()} to be {local.isoformat()} in {name}",
                    came_out.isoformat(),
                    "the zone data is outdated or damaged: update tzdata in the image",
                )


def check_settings(settings: Mapping[str, SettingType], environment: Mapping[str, str]) -> Iterator[Finding]:
    """Each required setting must be present, not empty and of its type. Values are never shown."""
    absent = tuple(sorted(n for n in settings if not environment.get(n, "").strip()))
    if absent:
        yield Finding(
            "runtime.setting",
            "all required settings to be present",
            f"{len(absent)} absent or empty",
            "set them on the service; replacing all variables at deploy loses those not listed",
            absent,
        )
    wrong = tuple(
        f"{name} (should be {kind})"
        for name, kind in sorted(settings.items())
        if name not in absent and not _is_of(kind, environment[name].strip())
    )
    if wrong:
        yield Finding(
            "runtime.setting",
            "settings of their types",
            f"{len(wrong)} of another type",
            "correct the values",
            wrong,
        )


def _is_of(kind: SettingType, text: str) -> bool:
    try:
        match kind:
            case "int":
                int(text)
            case "float":
                float(text)
            case "bool":
                return text.lower() in {"0", "1", "true", "false", "yes", "no", "on", "off"}
            case "url":
                parts = urlsplit(text)
                return bool(parts.scheme and (parts.netloc or parts.scheme == "file"))
            case "path":
                return Path(text).exists()
            case "json":
                json.loads(text)
            case "str":
                return True
    except ValueError:
        return False
    return True


def check_clock(here: datetime, server: datetime | None, tolerance_seconds: int) -> Iterator[Finding]:
    """This machine's clock against the server's; the server tells whole seconds. No server time, no finding."""
    if server is None:
        return
    skew = (here - server).total_seconds()
    if abs(skew) > tolerance_seconds + 1:
        yield Finding(
            "runtime.clock",
            f"a clock within {tolerance_seconds} s of the server's",
            f"{abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}",
            "set the machine's clock (NTP); game days and deadlines are computed from it",
        )


def interpreter() -> dict[str, str]:
    """Implementation, version and platform of this interpreter."""
    return {
        "implementation": platform.python_implementation(),
        "python": platform.python_version(),
        "platform": sysconfig.get_platform(),
    }
