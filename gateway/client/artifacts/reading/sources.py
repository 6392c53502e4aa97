"""
Find the bytes of an artifact of a run: in the store that is set here, through the query API, or where its URI says.

The URI comes from the log, where a producer may have put anything. So a token goes to no address that only the log
names, and a reference to a file is not followed: a log that names `~/.ssh/id_ed25519` must not copy it into a folder
that is perhaps published. What comes is checked by its SHA-256 (`landing`), wherever it comes from.
"""

from __future__ import annotations

from gateway.client.artifacts.address import open_store
from gateway.client.artifacts.store import DOOR, ArtifactError, ArtifactMissing, split_uri
from gateway.client.errors import ClientError
from gateway.client.query import open_bytes, run_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from typing import BinaryIO

    from gateway.client.artifacts.reading.landing import Source
    from gateway.client.artifacts.reading.listing import Artifact
    from gateway.client.artifacts.store import Store
    from gateway.client.query import Api

    Bytes = AbstractContextManager[Source]


class Sources:
    """Where the bytes of artifacts of one run can be read."""

    def __init__(self, api: Api, run_id: str, store: Store | None) -> None:
        self._api, self._run_id, self._store = api, run_id, store

    def open(self, artifact: Artifact, offset: int = 0) -> Bytes:
        """
        Return the bytes of an artifact from an offset on, from the first place that has them.

        Raises ArtifactError, which names each place and why it does not give them.
        """
        if not artifact.stored:
            raise ArtifactError(
                f"artifact {artifact.path!r:.200} is a reference, its bytes are not stored: "
                f"they are at {artifact.uri!r:.500} of the machine that logged it"
            )
        problems = []
        for place in self._places(artifact, offset):
            try:
                return place()
            except ClientError as error:
                problems.append(str(error))
        raise ArtifactMissing(f"no place has the bytes of artifact {artifact.path!r:.200}: {'; '.join(problems)}")

    def _places(self, artifact: Artifact, offset: int) -> Iterator[Callable[[], Bytes]]:
        sha256 = artifact.sha256
        if (store := self._store) is not None:
            yield lambda: store.open(sha256, offset)
        yield lambda: self._from_api(artifact, offset)
        if found := split_uri(artifact.uri):
            yield lambda: _open(found[0], "", sha256, offset)

    def _from_api(self, artifact: Artifact, offset: int) -> Bytes:
        """Return the bytes that the API gives, or those of the door to which it refers."""
        answer = open_bytes(self._api, run_path(self._run_id, "artifacts/content"), offset, path=artifact.path)
        if not answer.location:
            return answer
        answer.close()
        base = answer.location.removesuffix(f"{DOOR}/sha256/{artifact.sha256}")
        if not base.startswith(("http://", "https://")):
            raise ArtifactError(
                f"the API refers to {base!r:.200}, which is no gateway server: correct GATEWAY_LIVE_URL"
            )
        # The API has the token already; but not over a connection that anybody can read.
        is_safe = base.startswith("https://") or not self._api.startswith("https://")
        return _open(base, self._api.token if is_safe else "", artifact.sha256, offset)


def _open(url: str, token: str, sha256: str, offset: int) -> BinaryIO:
    return open_store(url, token=token).open(sha256, offset)
