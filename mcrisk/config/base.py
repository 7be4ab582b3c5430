"""Ground of every configuration model: frozen, nothing unknown accepted, durations readable."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_UNITS = {"s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"^\s*([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*([a-z]+)\s*$")


def parse_duration(value: Any) -> Any:
    """Seconds from a number or from text such as ``30min``, ``8h``, ``2.5s``, ``60d``.

    Raises ValueError on an unknown unit; other types pass through for pydantic to judge.
    """
    if not isinstance(value, str):
        return value
    found = _DURATION.match(value)
    if not found or found.group(2) not in _UNITS:
        raise ValueError(f"'{value}' is no duration; write a number of seconds or e.g. 30s, 10min, 8h, 2d")
    return float(found.group(1)) * _UNITS[found.group(2)]


Seconds = Annotated[float, BeforeValidator(parse_duration), Field(ge=0, json_schema_extra={"unit": "seconds"})]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]


class Model(BaseModel):
    """Frozen; unknown keys are errors; NaN and infinity are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, str_strip_whitespace=True)
