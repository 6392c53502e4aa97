"""
Where requests about experiments and models are written, where answers are read, and one read.
"""

from __future__ import annotations

from urllib.parse import quote

from gateway.client.address import find_address
from gateway.client.errors import ClientError, NotFound
from gateway.client.query import ApiRefused, find_api, get

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from gateway.client.address import Address
    from gateway.client.query import Api

PAGE_ROWS = 1_000  # asked for at once


class Registry:
    """
    An address to write requests to, and the query API. Both are found as those of training are, unless given.

    A function is called for the address with the first request, because reading needs none.
    """

    def __init__(self, address: Address | Callable[[], Address] | None = None, api: Api | None = None) -> None:
        self._address, self._api = address, api

    @property
    def address(self) -> Address:
        """Where requests are written. Raises ClientError if there is none."""
        found = self._address() if callable(self._address) else self._address or find_address()
        if not found.keeps:
            raise ClientError(
                "there is no address to send a request to: start the stack with `gateway up`, or set GATEWAY_URL"
            )
        return found

    @property
    def api(self) -> Api:
        """The query API."""
        return self._api or find_api()

    def read(self, path: str, /, **parameters: Any) -> dict[str, Any]:
        """Return a document. Raises NotFound, ApiUnavailable, ApiRefused."""
        try:
            return dict(get(self.api, path, **parameters))
        except ApiRefused as error:
            if error.status == 404:
                raise NotFound(str(error)) from None
            raise

    def pages(self, path: str, rows: str, limit: int | None, /, **parameters: Any) -> Iterator[dict[str, Any]]:
        """Yield the rows of a list, at most `limit`, page by page."""
        token, left = None, limit
        while left is None or left > 0:
            count = PAGE_ROWS if left is None else min(left, PAGE_ROWS)
            page = self.read(path, limit=count, page_token=token, **parameters)
            yield from page[rows]
            left = None if left is None else left - len(page[rows])
            token = page["next_page_token"]
            if token is None:
                return


def path_of(*parts: str | int) -> str:
    """Return a path of the API; a part may hold any character."""
    return "/v1/" + "/".join(quote(str(part), safe="", errors="replace") for part in parts)
