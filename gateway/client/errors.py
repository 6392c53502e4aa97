"""
What can go wrong between training code and the log.

    ClientError       start_run() was asked for something that cannot be; the message says the next step
    Unsent            a transport could not get records acknowledged; the shipper sends them again

`emit` and everything else that runs inside a training loop raises neither: it counts, and says so once.
"""

from __future__ import annotations


class ClientError(Exception):
    """A run cannot start as asked; the message names the thing and the next step."""


class Unsent(Exception):
    """Records were not acknowledged; sending the same records again is safe and needed."""
