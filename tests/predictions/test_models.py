"""What the model store promises: a model is loaded whole and unchanged or not at all, and never saw the game day."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.objects import LocalObjects
from tasks.predictions.models import CARD, ModelCard, ModelError, ModelStore

STEADY = settings(deadline=None, derandomize=True, max_examples=200)
DAY = dt.date(2025, 12, 29)
ONE_DAY = dt.timedelta(days=1)
MONTH = dt.timedelta(days=31)
TRAINED_AT = dt.datetime(2025, 12, 29, 16, tzinfo=dt.UTC)
FILES = {"points.txt": b"trees", "lessons.json": b"{}"}


def save(store: ModelStore, through: dt.date = DAY - ONE_DAY, **changed: Any) -> ModelCard:
    facts = {
        "trained_from": through - dt.timedelta(days=365),
        "rows": 12_345,
        "feature_set_version": 1,
        "features": ("points_last_10", "minutes_last_10"),
        "libraries": {"lightgbm": "4.7.0"},
        "metrics": {"ensemble_mae": 4.6},
        "created_at": TRAINED_AT,
        **changed,
    }
    files = facts.pop("files", FILES)
    return store.save(files, trained_through=through, **facts)


def promote(store: ModelStore, card: ModelCard, *objections: str) -> ModelCard:
    store.decide(card.id, objections, None, TRAINED_AT)
    return card


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(LocalObjects(folder=tmp_path))


def folder_of(store: ModelStore) -> Path:
    assert isinstance(store.objects, LocalObjects)
    return store.objects.folder


def test_a_model_comes_back_as_it_was_trained(store: ModelStore) -> None:
    card = save(store)
    loaded = store.load(card.id)
    assert loaded.card == card
    assert dict(loaded.files) == FILES
    assert card.id == f"points-2025-12-28-{card.content_hash[:12]}"


def test_the_same_content_is_the_same_model_and_is_not_written_again(store: ModelStore) -> None:
    first = save(store)
    before = {path: path.stat().st_mtime_ns for path in folder_of(store).rglob("*")}
    again = save(store, created_at=TRAINED_AT + ONE_DAY, files=dict(reversed(FILES.items())))
    assert again == first
    assert {path: path.stat().st_mtime_ns for path in folder_of(store).rglob("*")} == before


@pytest.mark.parametrize(
    "changed",
    [
        {"files": {**FILES, "points.txt": b"other trees"}},
        {"files": {**FILES, "more.txt": b""}},
        {"files": {"points.txt": b"{}", "lessons.json": b"trees"}},
        {"through": DAY - 2 * ONE_DAY},
        {"metrics": {"ensemble_mae": 4.5}},
        {"features": ("points_last_10",)},
    ],
    ids=["content", "another file", "names exchanged", "trained through", "metrics", "features"],
)
def test_other_content_metrics_or_features_are_another_model(store: ModelStore, changed: Any) -> None:
    assert save(store).id != save(store, **changed).id
    assert len(store.cards()) == 2


def change_card(**changed: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        card = json.loads((folder / CARD).read_text())
        (folder / CARD).write_text(json.dumps(card | changed))

    return change


def flip(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        body = (folder / name).read_bytes()
        (folder / name).write_bytes(bytes([body[0] ^ 1]) + body[1:])

    return change


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (flip("points.txt"), "its file points.txt is not what was trained"),
        (lambda folder: (folder / "points.txt").unlink(), "its file points.txt is missing"),
        (lambda folder: (folder / "points.txt").write_bytes(b""), "its file points.txt is not what was trained"),
        (lambda folder: (folder / CARD).unlink(), "there is no model points-2025-12-28"),
        (lambda folder: (folder / CARD).write_text("{}"), "card.json is not a model card"),
        (lambda folder: (folder / CARD).write_bytes(b"\xff\xfe"), "card.json is not a model card"),
        (change_card(files={"points.txt": "0" * 64}), "is not the card of points-2025-12-28"),
        (change_card(files={}), "is not the card of points-2025-12-28"),
        (change_card(trained_through="2025-11-30"), "is not the card of points-2025-12-28"),
        (change_card(id="points-2025-12-28-000000000000"), "is not the card of points-2025-12-28"),
        (change_card(metrics={"ensemble_mae": 3.4}), "is not the card of points-2025-12-28"),
        (change_card(features=["points_last_10"]), "is not the card of points-2025-12-28"),
        (change_card(libraries={"lightgbm": "4.8.0"}), "is not the card of points-2025-12-28"),
        (change_card(rows=1), "is not the card of points-2025-12-28"),
    ],
    ids=[
        "file changed",
        "file missing",
        "file emptied",
        "card missing",
        "card empty",
        "card no text",
        "hashes changed",
        "files dropped",
        "last day changed",
        "id changed",
        "metrics embellished",
        "features changed",
        "libraries changed",
        "rows changed",
    ],
)
def test_a_model_that_is_not_what_was_trained_is_refused(
    store: ModelStore, damage: Callable[[Path], None], said: str
) -> None:
    card = save(store)
    save(store, through=DAY - 5 * ONE_DAY)  # there is another, and it is not taken instead
    damage(folder_of(store) / card.id)
    with pytest.raises(ModelError, match=said):
        store.load(card.id)


def test_a_file_and_its_hash_exchanged_together_are_refused(store: ModelStore) -> None:
    card = save(store)
    other = save(store, files={**FILES, "points.txt": b"worse trees"})
    for name in ("points.txt", CARD):
        (folder_of(store) / card.id / name).write_bytes((folder_of(store) / other.id / name).read_bytes())
    with pytest.raises(ModelError, match=f"is not the card of {card.id}"):
        store.load(card.id)


@pytest.mark.parametrize("wrong", ["points-2025-12-28-000000000000", "points-2025-12-28", ""])
def test_an_unknown_id_loads_nothing(store: ModelStore, wrong: str) -> None:
    save(store)
    with pytest.raises(ModelError, match=r"there is no model .*: train one"):
        store.load(wrong)


def test_a_card_that_says_less_than_it_was_trained_on_is_never_chosen(store: ModelStore) -> None:
    card = save(store, through=DAY)
    change_card(trained_through=str(DAY - ONE_DAY))(folder_of(store) / card.id)
    with pytest.raises(ModelError, match="is not the card of"):
        store.usable_for(DAY, newest_age=MONTH, feature_set_version=1)


@STEADY
@given(
    last_days=st.lists(st.integers(-60, 5), unique=True, max_size=5),
    age=st.integers(0, 60),
)
def test_the_newest_model_that_has_not_seen_the_game_day_is_used(
    tmp_path_factory: pytest.TempPathFactory, last_days: list[int], age: int
) -> None:
    store = ModelStore(LocalObjects(folder=tmp_path_factory.getbasetemp() / "models"))
    known = {days: save(store, through=DAY + days * ONE_DAY, files={"m": b"m"}) for days in last_days}
    store.cards = lambda: sorted(known.values(), key=lambda card: card.trained_through)  # type: ignore[method-assign]
    found = store.usable_for(DAY, newest_age=age * ONE_DAY, feature_set_version=1, promoted_only=False)
    fits = [days for days in last_days if -age <= days < 0]
    assert found == (known[max(fits)] if fits else None)


def test_a_model_of_other_features_is_not_used(store: ModelStore) -> None:
    usable = promote(store, save(store, through=DAY - 5 * ONE_DAY))
    promote(store, save(store, feature_set_version=2))
    assert store.usable_for(DAY, newest_age=MONTH, feature_set_version=1) == usable
    assert store.usable_for(DAY, newest_age=MONTH, feature_set_version=3) is None


@pytest.mark.parametrize(
    "now",
    [{"features": ("minutes_last_10", "points_last_10")}, {"libraries": {"lightgbm": "4.8.0"}}],
    ids=["features in another order", "another library version"],
)
def test_a_newer_model_of_other_columns_or_libraries_is_passed_over(store: ModelStore, now: Any) -> None:
    fitting = promote(store, save(store, through=DAY - 5 * ONE_DAY, **now))
    newest = promote(store, save(store))
    assert store.usable_for(DAY, newest_age=MONTH, feature_set_version=1) == newest
    assert store.usable_for(DAY, newest_age=MONTH, feature_set_version=1, **now) == fitting


def test_of_two_models_of_the_same_day_the_later_trained_is_used(store: ModelStore) -> None:
    later = promote(store, save(store, files={"m": b"later"}, created_at=TRAINED_AT + ONE_DAY))
    promote(store, save(store, files={"m": b"earlier"}))
    assert store.usable_for(DAY, newest_age=MONTH, feature_set_version=1) == later


def test_models_are_listed_oldest_training_first(store: ModelStore) -> None:
    newer, older = save(store), save(store, through=DAY - 9 * ONE_DAY)
    assert store.cards() == [older, newer]
    assert ModelStore(LocalObjects(folder=folder_of(store) / "nothing")).cards() == []


def test_a_save_that_was_cut_short_is_no_model_and_does_not_stop_the_next(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        save(store)
    monkeypatch.undo()
    assert store.cards() == []
    card = save(store)
    assert store.load(card.id).card == card
    assert [path.name for path in folder_of(store).iterdir()] == [card.id]


def test_an_instant_without_a_zone_makes_no_card(store: ModelStore) -> None:
    with pytest.raises(ValueError, match="timezone"):
        save(store, created_at=TRAINED_AT.replace(tzinfo=None))


def test_only_a_promoted_model_is_used_and_a_newer_one_without_verdict_or_refused_is_not(store: ModelStore) -> None:
    assert store.usable_for(DAY, newest_age=MONTH, feature_set_version=1) is None
    current = promote(store, save(store, through=DAY - 5 * ONE_DAY))
    promote(store, save(store), "too good to be true")
    save(store, through=DAY - 2 * ONE_DAY)
    assert store.usable_for(DAY, newest_age=MONTH, feature_set_version=1) == current


def test_a_verdict_is_given_once(store: ModelStore) -> None:
    card = promote(store, save(store), "probably leakage")
    again = store.decide(card.id, (), None, TRAINED_AT + ONE_DAY)
    assert again.objections == ("probably leakage",)
    assert not again.promoted
    assert store.promotion(card.id) == again


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"content_hash": "0" * 64}, "a verdict on other content"), ({"objections": "none"}, "is not a verdict")],
)
def test_a_verdict_on_something_else_promotes_nothing(store: ModelStore, changed: Any, said: str) -> None:
    card = promote(store, save(store))
    path = folder_of(store) / "promotions" / f"{card.id}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    with pytest.raises(ModelError, match=said):
        store.usable_for(DAY, newest_age=MONTH, feature_set_version=1)
