"""
Record deletions and renames of a run and of its parts.

Both apply to everything the log has before them. What this process recorded earlier is before; other processes of the
run are not synchronised with it, so their records may end up before or after. Trackers and dashboards follow the log.
"""

from __future__ import annotations

from gateway.client.encoding.values import clean_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from gateway.client.recording.recorder import Recorder

    Logged = Mapping[str, dict[str, Any]]  # the parameters ("param") and tags ("tag") this process logged


def delete(recorder: Recorder, names: Mapping[str, str | Iterable[str]], logged: Logged) -> None:
    """Record that parts of the run are deleted, by kind and name. Raises TypeError when none is named."""
    parts = [(what, name) for what, given in names.items() for name in ([given] if isinstance(given, str) else given)]
    if not parts:
        raise TypeError("nothing is named: call for example run.delete(series='loss')")
    for what, name in parts:
        if what == "artifact":
            _delete_artifact(recorder, clean_name(name))
            continue
        recorder.record("deleted", what=what, name=clean_name(name))
        if what in logged:
            logged[what].pop(clean_name(name), None)


def _delete_artifact(recorder: Recorder, name: str) -> None:
    with recorder.measuring():  # its size and digest, or its place in the store, must not follow the deletion
        for artifact in [one for one in list(recorder.unmeasured) if one[0] == name]:
            recorder.unmeasured.pop(artifact, None)
        recorder.record("deleted", what="artifact", name=name)


def rename(recorder: Recorder, new: str, old_names: Mapping[str, str | None], logged: Logged) -> str:
    """
    Record that the part named in `old_names`, or the run when none is named there, gets a new name.

    Returns the new name of the run, or "" when a part is renamed. Raises TypeError when several parts are named.
    """
    parts = [(what, old) for what, old in old_names.items() if old is not None]
    if len(parts) > 1:
        raise TypeError("one part is renamed at a time: name a series, a parameter or a tag")
    new = clean_name(new)
    if not parts:
        recorder.record("renamed", what="run", new=new)
        return new
    what, old = parts[0][0], clean_name(parts[0][1])
    recorder.record("renamed", what=what, old=old, new=new)
    if what in logged and old in logged[what] and new not in logged[what]:
        logged[what][new] = logged[what].pop(old)
    return ""
