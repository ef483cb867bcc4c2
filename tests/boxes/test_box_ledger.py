"""The ledger of a link: whatever is cut, at any step, both sides apply an exchange once or not at all."""

from __future__ import annotations

import itertools

import pytest
from cut_links import advance, meet, pair, total

from hogwild.boxes.ledger import Account, Ledger, LedgerError, Phase, Recovery

STEPS = range(10)  # copy, copy, take, send, receive, flux, adding, add, add, apply
ALL = (99, 99)


def recovered(sides, cut=ALL):
    """Both processes begin anew and meet; the second cut comes after that many steps of what they do then."""
    for side in sides:
        side.restarted()
    recoveries = meet(sides)
    advance([side.recover(how) for side, how in zip(sides, recoveries, strict=True)], cut, sides)
    return recoveries


@pytest.mark.parametrize("first", STEPS)
@pytest.mark.parametrize("second", STEPS)
def test_a_cut_after_any_two_steps_loses_and_doubles_nothing(first: int, second: int):
    """And so do two cuts in a row, the second one after any step of the recovery."""
    for cut in itertools.product(range(7), range(7)):
        sides = pair()
        assert total(sides) == [4, 4]
        advance([side.exchange() for side in sides], (first, second), sides)
        recovered(sides, cut)
        recovered(sides)
        assert meet(sides) == [Recovery.NOTHING] * 2
        assert total(sides) == [4, 4]
        assert sides[0].ledger.applied == sides[1].ledger.applied <= 1
        advance([side.exchange() for side in sides], ALL, sides)  # the next exchange is as if nothing had been
        assert total(sides) == [4, 4]
        assert sides[0].ledger.applied == sides[1].ledger.applied >= 1


def test_cuts_reach_every_recovery():
    seen = set()
    for steps in itertools.product(STEPS, STEPS):
        sides = pair()
        advance([side.exchange() for side in sides], steps, sides)
        seen.update(recovered(sides))
    assert seen == {Recovery.NOTHING, Recovery.SEND, Recovery.RECEIVE}


def test_exchanges_agree_in_a_quiet_phase():
    sides = pair()
    advance([side.exchange() for side in sides], ALL, sides)
    for side in sides:
        side.update = lambda _amount: None
    advance([side.exchange() for side in sides], ALL, sides)
    assert sides[0].x == sides[1].x


def test_a_box_that_was_started_anew_forgets_on_both_sides():
    here, there = Ledger([0, 0, 0, 0], 1), Ledger([0, 0, 0, 0], 7)
    here.meet(there.account)
    assert here.account == Account(1, 7, 0)
    here.take(1)
    here.add()
    here.apply()
    again = Ledger([0, 0, 0, 0], 8)
    account = here.account
    assert here.meet(again.account) is Recovery.FORGET
    assert again.meet(account) is Recovery.FORGET
    assert (here.applied, again.applied) == (0, 0)
    assert here.meet(again.account) is again.meet(here.account) is Recovery.NOTHING


def test_what_contradicts_the_ledger_is_refused():
    ledger = Ledger([7, 3, 3, 0], 1)
    with pytest.raises(LedgerError, match="exchange 5 of a link that has applied 3"):
        ledger.take(5)
    with pytest.raises(LedgerError, match="has applied 3 exchanges of a link, the other one 5"):
        ledger.meet(Account(7, 1, 5))
    with pytest.raises(LedgerError, match="the other one 4"):  # this side has no snapshot of the fourth
        ledger.meet(Account(7, 1, 4))
    ledger.take(4)
    assert ledger.meet(Account(7, 1, 4)) is Recovery.RECEIVE
    ledger.add()
    assert ledger.phase is Phase.ADDING
    with pytest.raises(LedgerError, match="ADDING"):
        ledger.take(4)
