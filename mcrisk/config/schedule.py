"""A run that is repeated: what, when with its time zone, where results go, limits, whom to tell.

Field names are the YAML keys; files lie in `configs/schedules/`. Durations are seconds or `6h`; `results` is a folder
relative to the working directory.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from mcrisk.config.base import Model, Seconds
from mcrisk.config.run import Name

_FIELDS = ("minute", "hour", "day of month", "month", "weekday")
_ITEM = re.compile(r"(\*|[0-9]+(-[0-9]+)?)(/[1-9][0-9]*)?")
_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_NAMES = {
    3: ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    4: ("mon", "tue", "wed", "thu", "fri", "sat", "sun"),
}
Occasion = Literal["breach", "moved", "failed", "done"]


def expand(field: str, position: int) -> list[int]:
    """The numbers a cron field stands for, ascending; empty when it is none. Weekdays count from Monday = 0."""
    first, last = _RANGES[position]
    for number, name in enumerate(_NAMES.get(position, ()), first):
        field = field.replace(name, str(number))
    found: set[int] = set()
    for item in field.split(","):
        if not _ITEM.fullmatch(item):
            return []
        span, _, step = item.partition("/")
        low, _, high = (f"{first}-{last}" if span == "*" else span).partition("-")
        a, b = int(low), int(high or (last if step else low))
        if not first <= a <= b <= last:
            return []
        found.update(range(a, b + 1, int(step or 1)))
    return sorted(found)


class When(Model):
    """Either `cron` (five fields of wall-clock time) or `every` (counted from 1970 in UTC).

    Wall-clock times that a clock change skips are taken as if it had not happened; those it repeats count once.
    """

    cron: str | None = None  # "30 6 * * mon-fri"
    every: Seconds | None = None
    timezone: str = "UTC"

    @field_validator("cron")
    @classmethod
    def _five_fields(cls, cron: str | None) -> str | None:
        if cron is None:
            return None
        parts = cron.lower().split()
        if len(parts) != 5:
            raise ValueError(f"'{cron}' has {len(parts)} fields; cron has five: {', '.join(_FIELDS)}")
        for k, part in enumerate(parts):
            if not expand(part, k):
                raise ValueError(f"'{part}' is no {_FIELDS[k]} of a cron line")
        if re.search(r"[0-9]", parts[4].split("/")[0]):
            raise ValueError("write weekdays by name, e.g. mon-fri: programs disagree which day 0 is")
        if parts[2] != "*" and parts[4] != "*":
            raise ValueError("give a day of month or a weekday: programs disagree what both together mean")
        return " ".join(parts)

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"'{name}' is no time zone; write e.g. Europe/Zurich or UTC") from None
        return name

    @model_validator(mode="after")
    def _one_of_both(self) -> When:
        if (self.cron is None) == (self.every is None):
            raise ValueError("give either `cron` or `every`")
        if self.every is not None and self.every < 1:
            raise ValueError("`every` must be at least one second")
        return self


class Keep(Model):
    """Results kept on disk; the history of slots, with their headline numbers, is always kept."""

    runs: int = Field(30, ge=2)  # newest finished ones; two are needed to see what moved
    days: float | None = Field(None, gt=0)  # and none older than this, but always the newest two


class Alert(Model):
    """What makes a slot end in exit code 3."""

    limits: bool = True  # a limit is red
    moved: tuple[str, ...] = ("p_fund_depleted", "required_fund_99", "es_99_bad_debt", "winners_haircut_es99")


class _Target(Model):
    on: tuple[Occasion, ...] = ("breach", "moved", "failed")


class FileTarget(_Target):
    """Appends one JSON line per notification."""

    kind: Literal["file"]
    path: str


class WebhookTarget(_Target):
    """POSTs JSON with the slot as `Idempotency-Key`."""

    kind: Literal["webhook"]
    url: str | None = None
    url_env: str | None = None  # environment variable that holds the address, when it is a secret
    timeout: Seconds = 10.0

    @model_validator(mode="after")
    def _an_address(self) -> WebhookTarget:
        if (self.url is None) == (self.url_env is None):
            raise ValueError("give either `url` or `url_env`")
        if self.url is not None and not self.url.startswith(("http://", "https://")):
            raise ValueError(f"'{self.url}' is no http address")
        return self


class EmailTarget(_Target):
    """Plain text by SMTP."""

    kind: Literal["email"]
    to: tuple[str, ...] = Field(min_length=1)
    sender: str
    host: str = "localhost"
    port: int = Field(25, ge=1, le=65535)
    security: Literal["none", "starttls", "tls"] = "none"
    username: str | None = None
    password_env: str | None = None  # environment variable that holds the password
    timeout: Seconds = 20.0

    @field_validator("to", "sender")
    @classmethod
    def _addresses(cls, value: Any) -> Any:
        for address in (value,) if isinstance(value, str) else value:
            if "@" not in address or any(c.isspace() or c in "<>," for c in address):
                raise ValueError(f"'{address}' is no e-mail address")
        return value


Target = Annotated[FileTarget | WebhookTarget | EmailTarget, Field(discriminator="kind")]


class Schedule(Model):
    """One repeated run."""

    name: Name
    title: str = ""
    run: str  # name or file of a run configuration; a file beside the schedule is found
    set: dict[str, Any] = Field(default_factory=dict)  # as `--set`: {paths: 4096, limits.p_fund_depleted.green: 0.001}
    when: When
    results: str
    catch_up: Literal["latest", "all", "none"] = "latest"  # of slots missed for longer than `grace`
    grace: Seconds = 3600.0
    attempts: int = Field(3, ge=1, le=100)  # a slot that is killed that often is given up
    report: tuple[Literal["html", "md", "json"], ...] = ("html", "json")
    keep: Keep = Keep()
    alert: Alert = Alert()
    tell: tuple[Target, ...] = ()
