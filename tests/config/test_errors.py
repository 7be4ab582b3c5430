"""One style for every error, safe to print, safe to send between processes."""

import pickle

import pytest

from mcrisk import errors
from mcrisk.errors import InputError, printable


def test_parts_come_in_order_and_absent_ones_are_left_out():
    text = str(InputError("the price is NaN", "p.csv:3", "prices are positive", "correct the cell"))
    assert text.splitlines() == [
        "the price is NaN",
        "  where: p.csv:3",
        "  why:   prices are positive",
        "  do:    correct the cell",
    ]
    assert str(InputError("short")) == "short"


def test_further_errors_follow():
    text = str(InputError("one", also=[InputError("two", "here"), InputError("three")]))
    assert text.splitlines() == ["one", "two", "  where: here", "three"]


@pytest.mark.parametrize("evil", ["\x1b[2J", "\r", "\u202e", "\x00", "a\nb", "\ud800"])
def test_control_characters_never_reach_the_terminal(evil):
    assert printable(evil).isprintable()
    assert all(line.isprintable() for line in str(InputError(evil, evil, evil, evil)).splitlines())
    assert printable("naïve ≥ 1\u202f%") == "naïve ≥ 1\u202f%"


def test_errors_survive_the_way_between_processes():
    error = errors.RunFailed("a", "b", "c", "d", also=[InputError("e")])
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is errors.RunFailed and str(back) == str(error)


def test_exit_codes_are_the_contract():
    kinds = {
        errors.RunFailed: 1, errors.InputError: 2, errors.LimitBreached: 3, errors.PrecisionNotReached: 4,
        errors.Interrupted: 130,
    }  # fmt: skip
    assert {kind: kind.exit_code for kind in kinds} == kinds
