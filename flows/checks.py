"""What a place must be able to do before a worker takes work there: the guard asks at its start (integrity.toml).

Each check returns sentences, each a reason not to start. What will run here, and on which workspace, is what the
deployments on the server say; where there is nothing yet, there is nothing to hold against this code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.client.schemas.responses import DeploymentResponse

from blocks.alerts import ALERTS, OWNER, AlertChannelError, channel
from blocks.warehouse import TableSpec
from blocks.workspace import LocalWorkspace, Workspace, saved_workspace
from flows.home import BLOCK
from tasks.catalog import registry
from tasks.engine.ledger import Ledger
from tasks.precompute.ml_feature_store import FEATURE_SET_VERSION
from tasks.predictions.models import ModelError, ModelStore
from tasks.predictions.points_model import PointsModel

READERS = 8
Check = Callable[[Workspace], Iterator[str]]


def stores() -> list[str]:
    """The warehouse answers, and its tables and the ledger read under the contracts of this release."""
    return [said for home in _homes() for said in _opened(home, stores_of)]


def models() -> list[str]:
    """The newest promoted model of this feature set is whole, as it was trained, and loads with the libraries here."""
    return [said for home in _homes() for said in _opened(home, models_of)]


def alerts() -> list[str]:
    """Where days run by themselves somebody must be told: the alert channel is there and has an address."""
    by_themselves = [item.name for item in _deployments() if _runs_by_itself(item)]
    return channel_for(by_themselves) if by_themselves else []


def stores_of(workspace: Workspace) -> Iterator[str]:
    """What is wrong with a workspace's tables and ledger."""
    warehouse = workspace.warehouse
    there = set(warehouse.tables())
    specs = [item.writes.spec for item in registry() if item.table in there]

    def newest(spec: TableSpec) -> str | None:
        try:
            warehouse.read(spec, [max(warehouse.partitions(spec.name))])
        except Exception as error:  # whatever the store raises: each means that a run would stop there
            return f"table {spec.name} does not read under contract version {spec.version}: {_first_line(error)}"
        return None

    with ThreadPoolExecutor(READERS) as pool:
        yield from filter(None, pool.map(newest, specs))
    try:
        Ledger(workspace.ledger_url).runs(run_id="")
    except Exception as error:  # the driver's own errors
        yield f"the ledger does not open: {_first_line(error)}"


def models_of(workspace: Workspace) -> Iterator[str]:
    """What is wrong with the model that would be used next."""
    store = ModelStore(workspace.models)
    try:
        mine = [card.id for card in store.cards() if card.feature_set_version == FEATURE_SET_VERSION]
        promoted = [name for name in mine if (verdict := store.promotion(name)) and verdict.promoted]
        if promoted:
            PointsModel.of(store.load(promoted[-1]))
    except ModelError as error:
        yield str(error)


def channel_for(deployments: Iterable[str]) -> list[str]:
    """What is wrong with the alert channel that these deployments rely on."""
    told = f"{', '.join(sorted(deployments))} run by themselves, and nobody would be told of what goes wrong"
    try:
        block = CustomWebhookNotificationBlock.load(ALERTS, _sync=True)  # type: ignore[call-arg]
        assert isinstance(block, CustomWebhookNotificationBlock)
        channel(block.secrets.get_secret_value().get("webhook", ""))
    except (ValueError, AlertChannelError) as error:
        return [f"{told}: {_first_line(error)}"]
    return []


def _homes() -> list[str]:
    """Every workspace that a deployment on the server works in."""
    return sorted({str(home) for item in _deployments() if (home := (item.parameters or {}).get("home"))})


def _opened(home: str, check: Check) -> list[str]:
    try:
        workspace = _workspace(home)
        return [f"{home}: {said}" for said in check(workspace)] if workspace else []
    except Exception as error:  # unreachable, forbidden, unreadable: the store's own errors
        return [f"{home} can't be used: {type(error).__name__}: {_first_line(error)}"]


def _workspace(home: str) -> Workspace | None:
    """The workspace as it is, not claimed for anything; None where the first run will make its folder."""
    if home.startswith(BLOCK):
        return saved_workspace(home.removeprefix(BLOCK))
    folder = Path(home)
    if not folder.exists():
        return None
    return LocalWorkspace(folder=folder, ledger_url=f"sqlite:///{(folder / 'ledger.sqlite').resolve()}")


def _deployments() -> list[DeploymentResponse]:
    ours = DeploymentFilter(tags=DeploymentFilterTags(all_=[OWNER]))
    with get_client(sync_client=True) as client:
        return client.read_deployments(deployment_filter=ours, limit=200)


def _runs_by_itself(item: DeploymentResponse) -> bool:
    return not item.paused and any(schedule.active for schedule in item.schedules or [])


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).split("\n")[0]
