"""Accounts of one path at a cost that does not grow with their number (design.md 4.2).

A path starts from the book as it is; an account that nobody had to look at since the last re-strike is its reference row in
units of the mark then (quantity q/u, entry e·u) and owes the funding since. Static orders of trigger prices, sorted once
per cell, say who may have to be looked at; whoever was is kept in a list with exact triggers of its own. In a row that is
not quiet the candidates, in file order, are copied into a slot, the same rules as everywhere run on the slot, and only
those accounts are written back. Rows that concern everybody (settlement, ADL, a funding shortfall that receivers bear)
put the whole book into the slot.

memory.py   arrays of which only a part is in use or touched
orders.py   static orders of a cell, made on the host
rows.py     state of the accounts of a path; lazy rows; into the slot and back
find.py     who has to be looked at
latent.py   negative equities of the whole book from prefix sums
strike.py   re-strikes and the end of a path without walking through the book
work.py     a row of one path
"""
