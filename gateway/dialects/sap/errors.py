"""
The one error of this dialect.

    ClientError (gateway/client/errors.py)
    +- TrackingError   the call was refused as a whole: nothing of it was logged, changed or deleted
"""

from __future__ import annotations

from contextlib import contextmanager

from gateway.client.errors import ClientError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class TrackingError(ClientError):
    """A call cannot be done, and nothing of it was done; the message states why and the next step."""


@contextmanager
def one_error() -> Iterator[None]:
    """Raise what the client raises in the block as TrackingError, with the same message."""
    try:
        yield
    except TrackingError:
        raise
    except (ClientError, TimeoutError) as error:  # BarrierTimeout is a TimeoutError
        raise TrackingError(str(error)) from error
