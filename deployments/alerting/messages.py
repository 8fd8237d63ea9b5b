"""Messages as templates that the Prefect server fills in: what, since when, impact, next step, links. Slack's markup.

Everything that comes from an event or a run is escaped and cut to what Slack takes. Nothing here can fail on a value
that is not there: a message that says less is better than none.
"""

from __future__ import annotations

from dataclasses import dataclass

from blocks.alerts import MOST_IN_SUBJECT
from tasks.engine.incidents import IncidentKind

MOST_IN_WHAT = 1800  # of Slack's 3000 for the whole section


@dataclass(frozen=True)
class Message:
    """A message, each part of it a template. `resolved` marks the twin that tells of the end.

    Without a `kind` it is about whatever incident the event names.
    """

    kind: IncidentKind | None
    subject: str
    what: str
    since: str
    impact: str = ""
    next_step: str = ""
    links: tuple[str, ...] = ()
    resolved: bool = False

    @property
    def name(self) -> str:
        """What the automation that sends it is called after."""
        return self.kind.value if self.kind else "incident"

    def subject_template(self) -> str:
        """The heading. A filter block cuts what is rendered, not the template."""
        sign = ":white_check_mark: Resolved" if self.resolved else ":rotating_light:"
        return f"{{% filter truncate({MOST_IN_SUBJECT - 5}, true) %}}{sign} {self.subject}{{% endfilter %}}"

    def body_template(self, runbook: str) -> str:
        """The message itself; `runbook` is where the runbook can be read."""
        said = [
            f"{{% filter truncate({MOST_IN_WHAT}, true) %}}{self.what}{{% endfilter %}}",
            f"*{'Ended' if self.resolved else 'Since'}* {self.since}",
            f"*Impact* {self.impact}" if self.impact else "",
            f"*Next step* {self.next_step}" if self.next_step else "",
            " · ".join([*self.links, self._runbook(runbook)]),
        ]
        return "\n".join(part for part in said if part)

    def _runbook(self, runbook: str) -> str:
        kind = self.kind.value if self.kind else "{{ event.payload.kind }}"
        where = f"{runbook}#{kind}"
        return f"<{where}|Runbook: {kind}>" if "://" in runbook else f"Runbook: {where}"


def said(expression: str) -> str:
    """The value of a template expression as text, with Slack's three special characters escaped."""
    escaped = "replace('&', '&amp;') | replace('<', '&lt;') | replace('>', '&gt;')"
    return f"{{{{ ({expression}) | default('?', true) | string | {escaped} }}}}"


def code(expression: str) -> str:
    """The same, as code; backticks in it would end it."""
    escaped = "replace('&', '&amp;') | replace('<', '&lt;') | replace('>', '&gt;') | replace('`', '')"
    return f"`{{{{ ({expression}) | default('?', true) | string | {escaped} }}}}`"


def at(expression: str) -> str:
    """An instant: Slack shows it in the reader's own zone, anything else in UTC."""
    utc = f"{{{{ ({expression}).strftime('%b %d, %H:%M UTC') }}}}"
    stamp = f"{{{{ ({expression}).timestamp() | int }}}}"
    return f"{{% if {expression} %}}<!date^{stamp}^{{date_short_pretty}} {{time}}|{utc}>{{% else %}}now{{% endif %}}"


def ui(name: str, text: str) -> str:
    """A link to the page of a Prefect object in the template's context, if it is there and has one."""
    url = f"({name} | ui_url)"
    return f"{{% if {name} and {url} %}}<{{{{ {url} }}}}|{text}>{{% else %}}{text}{{% endif %}}"


RUN = "{% if flow and deployment %}" + said("flow.name ~ '/' ~ deployment.name") + "{% else %}a run{% endif %}"
RUN_LINK = ui("flow_run", "Run")
POOL_LINK = ui("work_pool", "Work pool")
DEPLOYMENT_LINK = ui("event.resource", "Deployment")  # of events about a deployment: the object itself has no page
OCCURRED = at("event.occurred")
# The state as the event has it: the run itself may have gone on since.
STATE = said("event.resource['prefect.state-name']")
STATE_SAYS = said("event.resource['prefect.state-message'] or 'no message'")
