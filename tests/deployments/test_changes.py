"""The difference between code and server: nothing where nothing differs, everything in an order that can be done."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from deployments.changes import Action, Change, Kind, Resource, changes


def pool(name: str, **fields: Any) -> Resource:
    return Resource(Kind.POOL, name, fields)


def deployment(name: str, **fields: Any) -> Resource:
    return Resource(Kind.DEPLOYMENT, name, fields)


RESOURCES = st.lists(
    st.builds(
        lambda kind, name, value: Resource(kind, name, {"value": value}),
        st.sampled_from(list(Kind)),
        st.sampled_from("abcd"),
        st.integers(0, 2),
    ),
    unique_by=lambda item: item.key,
)


def done(todo: list[Change], found: list[Resource]) -> dict[tuple[Kind, str], dict[str, Any]]:
    """A server after these changes."""
    state = {item.key: dict(item.fields) for item in found}
    for change in todo:
        if change.wanted is None:
            del state[change.resource.key]
        else:
            assert (change.resource.key in state) == (change.action == Action.UPDATE)
            state[change.resource.key] = dict(change.wanted.fields)
    return state


@given(wanted=RESOURCES, found=RESOURCES)
def test_the_changes_lead_from_any_state_to_the_wanted_one_and_then_there_are_none(
    wanted: list[Resource], found: list[Resource]
) -> None:
    assert done(changes(wanted, found), found) == {item.key: dict(item.fields) for item in wanted}
    assert changes(wanted, wanted) == []


def test_what_stands_on_another_is_made_after_it_and_taken_away_before_it() -> None:
    todo = changes(
        [deployment("daily/new"), pool("new"), Resource(Kind.BLOCK, "execution/default", {})],
        [pool("old"), deployment("daily/old")],
    )
    assert [change.text() for change in todo] == [
        "create block execution/default",
        "create work pool new",
        "create deployment daily/new",
        "delete deployment daily/old",
        "delete work pool old",
    ]


def test_an_update_tells_each_field_before_and_after_and_nested_ones_by_their_place() -> None:
    before = deployment("d", version="41+a", form={"properties": {"mode": {"enum": ["a"]}, "day": 1}}, same=1)
    after = deployment("d", version="42+b", form={"properties": {"mode": {"enum": ["b"]}, "day": 1}}, same=1)
    [change] = changes([after], [before])
    assert change.text().splitlines() == [
        "update deployment d",
        "    form: changed: properties.mode.enum",
        '    version: "41+a" -> "42+b"',
    ]


def test_a_secret_is_never_shown() -> None:
    before, after = (
        Resource(Kind.BLOCK, "alerts/default", {"url": url}, frozenset({"url"})) for url in ("hush-1", "hush-2")
    )
    [change] = changes([after], [before])
    assert "hush" not in change.text()
    assert "url: changed (secret)" in change.text()
