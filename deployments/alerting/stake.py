"""The impact part of messages about runs and pools: what the deployment is for, and what is at stake tonight.

Games, players and the deadline are those of the variable that the watch keeps (blocks/alerts.py). Where it is not there
or of another day, as when the watch itself is what is late, the message says what holds on every day.
"""

from __future__ import annotations

import json

from blocks.alerts import TONIGHT
from deployments.alerting.fleet import DUE, WATCHED, Watched

_ALWAYS = f"Tonight's predictions are due {DUE}."


def _count(name: str) -> str:
    return f"{{{{ night.{name}s | int }}}} {name}{{{{ '' if night.{name}s == 1 else 's' }}}}"


_WHO = f"Tonight's {_count('game')}{{% if night.players %}} and {_count('player')}{{% endif %}}"
_CLOCK = (
    "{% with left = ((night.due_at | int) - event.occurred.timestamp()) / 60 %}"
    "due {{ night.due }}, {% if left >= 1 %}{{ left | int }} minutes left{% else %}which has passed{% endif %}"
    "{% endwith %}"
)
_NIGHT = (
    f"{{% if night.games and night.published %}}{_WHO}: the predictions are published."
    f"{{% elif night.games and night.due_at %}}{_WHO}, {_CLOCK}."
    "{% else %}No games today.{% endif %}"
)
STAKE = (
    f"{{% with night = variables.{TONIGHT} %}}"
    "{% if night and event and night.until and 0 < (night.until | int) - event.occurred.timestamp() <= 86400 %}"
    f"{_NIGHT}{{% else %}}{_ALWAYS}{{% endif %}}{{% endwith %}}"
)


def impact(watched: Watched) -> str:
    """Of a message about runs of one deployment."""
    return f"{watched.impact} {STAKE}" if watched.tonight else watched.impact


def impact_of_run() -> str:
    """Of a message about a run of whichever deployment: its own line, and tonight's unless it leaves tonight alone."""
    lines = json.dumps({item.deployment: item.impact for item in WATCHED})
    others = json.dumps([item.deployment for item in WATCHED if not item.tonight])
    return (
        "{% with name = flow.name ~ '/' ~ deployment.name %}"
        f"{{{{ {lines}.get(name, '') }}}}{{% if name not in {others} %}} {STAKE}{{% endif %}}{{% endwith %}}"
    )
