"""What a container is started for: `python -m deployments.start ROLE` becomes the worker of that role's pool.

The role is said at the start and not read from the image: a container whose role was left to a default ran the wrong
phase for weeks once. That the image is of this role, and of the expected release, the worker then proves by itself.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from deployments.integrity.project import read_project

ROOT = Path(__file__).resolve().parent.parent
USAGE = 64  # sysexits.h: EX_USAGE
WORKER = "guarded-process"


def command(arguments: list[str]) -> list[str]:
    """The worker's command line. Raises ValueError where the arguments do not say which."""
    roles = read_project(ROOT).roles
    if not arguments or arguments[0] not in roles or len(arguments) > 2:
        said = f"{arguments[0]!r} is no role" if arguments else "no role was named"
        raise ValueError(
            f"{said}: start this container as `python -m deployments.start {'|'.join(sorted(roles))} [TYPE]`"
        )
    role, kind = arguments[0], arguments[1] if len(arguments) == 2 else WORKER
    [pool] = roles[role].pools
    return ["prefect", "worker", "start", "--type", kind, "--pool", pool]


def main() -> None:
    """Become the worker, as this process: signals reach it."""
    try:
        line = command(sys.argv[1:])
    except ValueError as error:
        print(error, file=sys.stderr)
        raise SystemExit(USAGE) from None
    os.execvp(line[0], line)


if __name__ == "__main__":
    main()
