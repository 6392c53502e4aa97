"""
The error that stops a process whose work another one has taken over.

The store compares before it writes: a partition's offset, a tracker's lease or a run's checkpoint. If another process
has moved it, nothing is written.
"""

from __future__ import annotations

from schemas.errors import TrackingError


class Fenced(TrackingError):
    """Another process took over this partition, tracker or run: nothing was written; read its row again or stop."""
