"""From a JSON answer to rows as found: what each entity must hold, and where its values lie.

Rows are made of whatever is there, as text, so that phase 2 judges every value in the open. The models only judge: an
answer in which most entities lack what is used is another schema, which is an error, never data.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import polars as pl
from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.sources.base import FILE, ROW
from tasks.sources.live.web import NotData, Response, SchemaChanged

# An answer of which more than this share is not as it should be is not believed at all.
MOST_UNLIKE = 0.5
Row = dict[str, str | None]
M = TypeVar("M", bound=BaseModel)


class Found(BaseModel):
    """A part of an answer: what is used is required and typed, whatever else is there is left alone."""

    model_config = ConfigDict(extra="ignore", frozen=True)


def read_json(response: Response) -> Any:
    """The document of an answer. Raises NotData for anything but whole JSON."""
    try:
        return json.loads(response.body)
    except (ValueError, RecursionError) as error:
        what = "a page, not data" if response.body.lstrip()[:1] == b"<" else "JSON that breaks off or is damaged"
        raise NotData(f"{response.label}: {what} ({error}); it begins with {response.beginning}") from None


def envelope(response: Response, model: type[M]) -> M:
    """The outer shape of an answer. Raises SchemaChanged naming the field that is missing or of another type."""
    document = read_json(response)
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise SchemaChanged(f"{response.label}: not the documented shape: {_first(error)}") from None


def judge(label: str, what: str, entities: Sequence[Any], model: type[BaseModel]) -> list[str]:
    """Notes on the entities that are not as `model` has them.

    Raises SchemaChanged where that is most of them, naming the commonest fault: the source has changed its schema.
    """
    faults = Counter[str]()
    for entity in entities:
        try:
            model.model_validate(entity)
        except ValidationError as error:
            faults[_first(error)] += 1
    bad = faults.total()
    if not bad:
        return []
    (commonest, _), *_ = faults.most_common(1)
    text = f"{label}: {bad} of {len(entities)} {what} are not as documented: {commonest}"
    if bad > MOST_UNLIKE * len(entities):
        raise SchemaChanged(f"{text}; the source may have changed its schema")
    return [text]


def dig(entity: Any, path: str) -> str | None:
    """The value at a dotted path as text; None where there is nothing, or something that is no single value."""
    for step in path.split("."):
        if not isinstance(entity, dict):
            return None
        entity = entity.get(step)
    return text(entity)


def text(value: Any) -> str | None:
    """A single JSON value as text; objects and lists have none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # A lone surrogate is no text at all: it can be neither stored nor shown.
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, int | float):
        return str(value)
    return None


def row_of(entity: Any, columns: Mapping[str, str]) -> Row:
    """The values of an entity by our column names, each from its path."""
    return {column: dig(entity, path) for column, path in columns.items()}


def frame(rows: Iterable[Row], columns: Sequence[str], file: str) -> pl.DataFrame:
    """Rows as a table of text with `_file` and `_row`."""
    table = pl.DataFrame(list(rows), schema=dict.fromkeys(columns, pl.String), orient="row")
    return table.with_row_index(ROW).with_columns(pl.col(ROW).cast(pl.Int64), pl.lit(file).alias(FILE))


def items(value: Any) -> list[Any]:
    """A list, or nothing where something else stands in its place."""
    return value if isinstance(value, list) else []


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    place = ".".join(map(str, first["loc"])) or "the whole"
    return f"{place}: {first['msg']}"
