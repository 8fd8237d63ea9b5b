"""The model store: trained models by id, with every file's hash. One is loaded whole and unchanged or not at all."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress

from pydantic import AwareDatetime, Field

from blocks.objects import ObjectConflict, Objects
from tasks.engine.plan import Frozen

CARD = "card.json"
PROMOTIONS = "promotions"


class ModelError(Exception):
    """A model that is missing, incomplete or not what was trained."""


class ModelCard(Frozen):
    """What is known of a trained model. `id` is derived from all of it but the time at which it was written."""

    id: str
    trained_through: dt.date
    trained_from: dt.date
    rows: int
    feature_set_version: int
    features: tuple[str, ...]
    files: Mapping[str, str]
    libraries: Mapping[str, str]
    metrics: Mapping[str, float]
    created_at: AwareDatetime

    @property
    def content_hash(self) -> str:
        """The sha256 over everything that the card says, and through `files` over the model: all but id and time."""
        said = self.model_dump(mode="json", exclude={"id", "created_at"})
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


class Promotion(Frozen):
    """The verdict on a trained model: it may predict only if `objections` is empty. Given once and never changed."""

    model_id: str
    content_hash: str
    objections: tuple[str, ...]
    held_against: str | None = Field(description="The model that was current; none: the first one.")
    decided_at: AwareDatetime

    @property
    def promoted(self) -> bool:
        """Whether the model may predict."""
        return not self.objections


class StoredModel(Frozen):
    """A loaded model: its card and the verified bytes of its files."""

    card: ModelCard
    files: Mapping[str, bytes]


class ModelStore:
    """Models as objects, `<id>/<file>` with the card last: a model without a card is not there."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects

    def save(
        self,
        files: Mapping[str, bytes],
        *,
        trained_from: dt.date,
        trained_through: dt.date,
        rows: int,
        feature_set_version: int,
        features: tuple[str, ...],
        libraries: Mapping[str, str],
        metrics: Mapping[str, float],
        created_at: dt.datetime,
    ) -> ModelCard:
        """Store a trained model atomically and return its card. The same content is the same model."""
        hashes = {name: hashlib.sha256(body).hexdigest() for name, body in sorted(files.items())}
        card = ModelCard(
            id="",
            trained_from=trained_from,
            trained_through=trained_through,
            rows=rows,
            feature_set_version=feature_set_version,
            features=features,
            files=hashes,
            libraries=libraries,
            metrics=metrics,
            created_at=created_at,
        )
        card = card.model_copy(update={"id": _id_of(card)})
        card_name = f"{card.id}/{CARD}"
        if card_name not in self.objects.names(card_name):
            try:
                for name, body in files.items():
                    self.objects.create(f"{card.id}/{name}", body)
            except ObjectConflict as error:
                raise ModelError(f"{error}, not a file of the model {card.id}: remove it and train anew") from error
            # Another process may have trained the same model in this moment: then its card is as good as ours.
            with suppress(ObjectConflict):
                self.objects.create(card_name, card.model_dump_json(indent=1).encode())
        return self.card(card.id)

    def cards(self) -> list[ModelCard]:
        """The cards of all models, oldest training first."""
        names = (name.partition("/") for name in self.objects.names("points-"))
        ids = [model_id for model_id, _, file in names if file == CARD]
        return sorted(
            (self.card(model_id) for model_id in ids), key=lambda card: (card.trained_through, card.created_at)
        )

    def card(self, model_id: str) -> ModelCard:
        """The card of one model, held against the id. Raises ModelError where there is none or it does not fit."""
        path = self.objects.address(f"{model_id}/{CARD}")
        try:
            card = ModelCard.model_validate_json(self.objects.get(f"{model_id}/{CARD}"))
        except FileNotFoundError:
            raise ModelError(
                f"there is no model {model_id} in {self.objects.address()}: train one (flows/train.py)"
            ) from None
        except (ValueError, json.JSONDecodeError) as error:
            raise ModelError(f"{path} is not a model card ({error}): train anew") from error
        if not model_id == card.id == _id_of(card):
            raise ModelError(f"{path} is not the card of {model_id}: what it says does not make that id: train anew")
        return card

    def decide(
        self, model_id: str, objections: Iterable[str], held_against: str | None, decided_at: dt.datetime
    ) -> Promotion:
        """Keep the verdict on a model and return it. One that was given before stands, whatever is said now."""
        verdict = Promotion(
            model_id=model_id,
            content_hash=self.card(model_id).content_hash,
            objections=tuple(objections),
            held_against=held_against,
            decided_at=decided_at,
        )
        with suppress(ObjectConflict):
            self.objects.create(f"{PROMOTIONS}/{model_id}.json", verdict.model_dump_json(indent=1).encode())
        kept = self.promotion(model_id)
        assert kept is not None
        return kept

    def promotion(self, model_id: str) -> Promotion | None:
        """The verdict on a model, or None while there is none. Raises ModelError if it is on other content."""
        name = f"{PROMOTIONS}/{model_id}.json"
        try:
            verdict = Promotion.model_validate_json(self.objects.get(name))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ModelError(f"{self.objects.address(name)} is not a verdict on a model ({error})") from error
        if (verdict.model_id, verdict.content_hash) != (model_id, self.card(model_id).content_hash):
            raise ModelError(f"{self.objects.address(name)} is a verdict on other content than {model_id}: train anew")
        return verdict

    def load(self, model_id: str) -> StoredModel:
        """The model of this id, the card checked against the id and every file against its hash.

        Raises ModelError for anything missing or changed; there is no other model to fall back to.
        """
        card = self.card(model_id)
        files = {}
        for name, expected in card.files.items():
            try:
                body = self.objects.get(f"{model_id}/{name}")
            except FileNotFoundError:
                raise ModelError(f"{model_id}: its file {name} is missing: train anew") from None
            if hashlib.sha256(body).hexdigest() != expected:
                raise ModelError(f"{model_id}: its file {name} is not what was trained (sha256 differs): train anew")
            files[name] = body
        return StoredModel(card=card, files=files)

    def usable_for(
        self,
        game_day: dt.date,
        *,
        newest_age: dt.timedelta,
        feature_set_version: int,
        features: tuple[str, ...] | None = None,
        libraries: Mapping[str, str] | None = None,
        promoted_only: bool = True,
    ) -> ModelCard | None:
        """The newest promoted model that has seen nothing of `game_day` or later and is not older than `newest_age`.

        Only models of this feature set (and, where given, of these features and library versions) are looked at.
        """
        fits = [
            card
            for card in self.cards()
            if card.trained_through < game_day
            and card.trained_through >= game_day - newest_age
            and card.feature_set_version == feature_set_version
            and features in (None, card.features)
            and libraries in (None, card.libraries)
            and (not promoted_only or self._is_promoted(card.id))
        ]
        return fits[-1] if fits else None

    def _is_promoted(self, model_id: str) -> bool:
        verdict = self.promotion(model_id)
        return verdict is not None and verdict.promoted


def _id_of(card: ModelCard) -> str:
    return f"points-{card.trained_through}-{card.content_hash[:12]}"
