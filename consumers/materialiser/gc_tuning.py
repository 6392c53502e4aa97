"""
Python's collector of cyclic garbage, for a process that makes many objects and hardly a cycle.

Each 700 new objects it looks at the young ones, and time and again at all there are. A transaction of 100 records with
1,000 series each has some 700,000 at once, which are freed without it: it took half of their CPU time to find nothing.
"""

from __future__ import annotations

import gc

YOUNG, MIDDLE, OLD = 100_000, 20, 100  # objects; collections of the young before one of the next; and of those


def tune_gc() -> None:
    """Leave out for good what is there now, modules above all, and look seldom at what comes."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
