"""The form that the Prefect UI draws for a deployment, and that the server holds a run's parameters against."""

from __future__ import annotations

import inspect
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from prefect import Flow
from prefect.utilities.callables import parameter_schema
from pydantic.fields import FieldInfo

# What a deployment's name says is not a choice: `daily/same-day` takes no other mode, not even by hand.
PINNED = ("mode",)


def form(flow: Flow[..., Any], parameters: dict[str, Any]) -> dict[str, Any]:
    """The flow's parameter schema with the descriptions of its fields, and with pinned parameters.

    Prefect takes descriptions from docstrings only and loses those of `Annotated[..., Field(description=...)]`.
    """
    schema = parameter_schema(flow).model_dump()
    for name, said in descriptions(flow).items():
        schema["properties"][name].setdefault("description", said)
    for name in set(PINNED) & set(parameters) & set(schema["properties"]):
        field = schema["properties"][name]
        field.pop("$ref", None)
        field.update(type="string", enum=[parameters[name]])
    return schema


def descriptions(flow: Flow[..., Any]) -> dict[str, str]:
    """What each parameter's annotation says of it."""
    hints = get_type_hints(flow.fn, include_extras=True)
    found: dict[str, str] = {}
    for name in inspect.signature(flow.fn).parameters:
        hint = hints.get(name)
        said = [item.description for item in get_args(hint)[1:] if isinstance(item, FieldInfo)]
        if get_origin(hint) is Annotated and said and said[0]:
            found[name] = said[0]
    return found
