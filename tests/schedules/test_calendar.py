"""When slots are: time zones, clock changes, intervals; and what a schedule may not say."""

from datetime import UTC, datetime, timedelta

import pytest

from mcrisk.config.load import load_model
from mcrisk.config.schedule import Schedule, When
from mcrisk.errors import InputError
from mcrisk.schedules.calendar import following, from_id, slot_id, slots


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def listed(when, start, days):
    return [s.strftime("%d %H:%M") for s in slots(when, start, start + timedelta(days=days))]


def test_wall_clock_times_follow_their_zone_through_both_clock_changes():
    when = When(cron="30 6 * * *", timezone="Europe/Zurich")
    assert listed(when, utc(2026, 3, 28), 2) == ["28 05:30", "29 04:30"]
    assert listed(when, utc(2026, 10, 24), 2) == ["24 04:30", "25 05:30"]


def test_times_a_clock_change_skips_or_repeats_happen_once():
    when = When(cron="30 2 * * *", timezone="Europe/Zurich")
    assert listed(when, utc(2026, 3, 28, 12), 1) == ["29 01:30"]
    assert listed(when, utc(2026, 10, 24, 12), 1) == ["25 00:30"]


def test_every_hour_of_the_day_is_a_slot_on_days_with_a_clock_change():
    when = When(cron="0 * * * *", timezone="Europe/Zurich")
    spring = list(slots(when, utc(2026, 3, 28, 22), utc(2026, 3, 29, 22)))
    assert spring == sorted(set(spring)) and len(spring) == 24


def test_working_days():
    when = When(cron="0 9 * * mon-fri")
    assert listed(when, utc(2026, 11, 20, 10), 4) == ["23 09:00", "24 09:00"]


def test_intervals_count_from_the_epoch_whoever_asks():
    when = When(every="6h")
    first = listed(when, utc(2026, 11, 20, 1), 1)
    assert first == ["20 06:00", "20 12:00", "20 18:00", "21 00:00"]
    assert following(when, utc(2026, 11, 20, 6)) == utc(2026, 11, 20, 12)


def test_a_date_that_never_comes_has_no_slot():
    assert following(When(cron="0 0 30 2 *"), utc(2026, 1, 1)) is None


def test_names_of_slots_go_both_ways():
    moment = utc(2026, 11, 20, 5, 30)
    assert from_id(slot_id(moment)) == moment
    with pytest.raises(ValueError):
        from_id("../../etc")


@pytest.mark.parametrize(
    "when, words",
    [
        ({"cron": "30 6 * *"}, "five"),
        ({"cron": "99 6 * * *"}, "minute"),
        ({"cron": "30 6 * * 1-5"}, "weekdays by name"),
        ({"cron": "30 6 1 * mon"}, "day of month or a weekday"),
        ({"cron": "30 6 * * *", "timezone": "Mars/Olympus"}, "no time zone"),
        ({"cron": "30 6 * * *", "timezone": "../../etc/passwd"}, "no time zone"),
        ({"cron": "30 6 * * *", "every": "1h"}, "either"),
        ({}, "either"),
        ({"every": "0.1s"}, "at least one second"),
    ],
)
def test_a_time_that_means_nothing_is_refused_with_a_reason(when, words):
    with pytest.raises(InputError, match=words):
        load_model(Schedule, "schedules", {"name": "x", "run": "quickstart", "results": "r", "when": when})


def test_secrets_and_addresses_are_checked_early():
    base = {"name": "x", "run": "quickstart", "results": "r", "when": {"every": "1h"}}
    for target, words in (
        ({"kind": "webhook", "url": "file:///etc/passwd"}, "no http address"),
        ({"kind": "email", "to": ["a@b\nBcc: c@d"], "sender": "m@x"}, "no e-mail address"),
        ({"kind": "pigeon"}, "pigeon"),
    ):
        with pytest.raises(InputError, match=words):
            load_model(Schedule, "schedules", {**base, "tell": [target]})
