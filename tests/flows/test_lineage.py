"""What Prefect is told of tables: each one that a step has made, with its rows and what it is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import get_client

from flows.lineage import asset_of, made_of
from tasks.catalog import registry
from tests.flows.conftest import Finished
from tests.prefect_server import wait_for

MADE = "prefect.asset.materialization.succeeded"


def test_a_table_is_made_of_what_its_processor_declares_and_never_of_itself() -> None:
    known = registry()
    home = Path("block:folder/my nights")
    lineage = {item.name: made_of(item, known, home) for item in known.processors.values()}
    assert "courtside://my-nights/ml_feature_store" in lineage["predictions"]
    assert lineage["prop_lines"][0] == "courtside://my-nights/landing/prop_lines"
    for name, made in lineage.items():
        assert made, name
        assert asset_of(known[name].table, home) not in made


def test_every_table_of_a_day_is_an_asset_with_the_rows_that_were_counted(finished: Finished) -> None:
    table = asset_of("predictions", finished.home)
    asked = {"event": {"name": [MADE]}, "resource": {"id": [table]}}

    def told() -> list[dict[str, Any]]:
        with get_client(sync_client=True) as client:
            answer = client.request("POST", "/events/filter", json={"filter": asked, "limit": 50})  # type: ignore[arg-type]
        return [one for one in answer.json()["events"] if one["payload"]["rows"] == finished.report.rows]

    [event, *_] = wait_for("the asset", told, 20)
    assert (event["payload"]["state"], event["payload"]["expected"]) == ("COMPLETE", finished.report.expected)
    related = {one["prefect.resource.id"] for one in event["related"] if one["prefect.resource.role"] == "asset"}
    assert related == {*made_of(registry()["predictions"], registry(), finished.home)}
