"""What all models of the spec language share: strict scalars, frozen instances, no unknown keys."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
)
from pydantic_core import PydanticKnownError


class Model(BaseModel):
    """A part of a spec: frozen, and any key that it does not define is an error."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        defer_build=True,
        allow_inf_nan=False,
        protected_namespaces=(),
        regex_engine="python-re",
    )


Int = StrictInt
Bool = StrictBool
RawStr = StrictStr
"""Text that is taken as it is, with no check for templates in it."""
Number = StrictInt | StrictFloat


def finite(value: Any) -> Any:
    """Refuse NaN and infinity anywhere in a value: JSON has neither, so they would become null."""
    if isinstance(value, float) and not math.isfinite(value):
        raise PydanticKnownError("finite_number")
    if isinstance(value, dict):
        for item in value.values():
            finite(item)
    elif isinstance(value, list | tuple):
        for item in value:
            finite(item)
    return value


Json = Annotated[Any, AfterValidator(finite)]
"""Any YAML value. Strings in it may be templates where the field says so."""
