"""
What a run takes back or calls by another name.

Both concern what the log has before them. What this process recorded earlier is before; other processes of the run are
not in step with it, so what they record meanwhile may come before or after. Trackers and dashboards follow the log.
"""

from __future__ import annotations

from gateway.client.encoding.values import clean_name
from gateway.client.guards import never_raises

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.client.run.run import Run


@never_raises("delete")
def delete(
    run: Run,
    *,
    series: str | Iterable[str] = (),
    param: str | Iterable[str] = (),
    tag: str | Iterable[str] = (),
    label: str | Iterable[str] = (),
    artifact: str | Iterable[str] = (),
) -> None:
    """
    Delete parts of the run by name: `run.delete(series="loss", tag=["draft", "team"])`.

    A series goes in all its steps, attempts and labels, with its values that are no numbers. What is recorded under a
    name later is new. The bytes of an artifact stay where they are. `gateway runs delete` deletes whole runs.
    """
    chosen = {"series": series, "param": param, "tag": tag, "label": label, "artifact": artifact}
    parts = [(what, name) for what, names in chosen.items() for name in ([names] if isinstance(names, str) else names)]
    if not parts:
        raise TypeError("nothing is named: say for example run.delete(series='loss')")
    for what, name in parts:
        run._record("deleted", what=what, name=clean_name(name))
        if what in ("param", "tag"):
            (run._params if what == "param" else run._tags).pop(name, None)


@never_raises("rename")
def rename(run: Run, new: str, *, series: str | None = None, param: str | None = None, tag: str | None = None) -> None:
    """
    Name the run, or a part of it: `run.rename("baseline")`, `run.rename("train/loss", series="loss")`.

    Where the new name is taken, by a series of the same step, attempt and labels, a parameter or a tag, both stay as
    they are. What is recorded under the old name later is a part of its own.
    """
    parts = [(what, old) for what, old in (("series", series), ("param", param), ("tag", tag)) if old is not None]
    if len(parts) > 1:
        raise TypeError("one part is renamed at a time: name a series, a parameter or a tag")
    new = clean_name(new)
    if not parts:
        run._record("renamed", what="run", new=new)
        run.name = new
        return
    what, old = parts[0]
    run._record("renamed", what=what, old=clean_name(old), new=new)
    if what in ("param", "tag"):
        kept = run._params if what == "param" else run._tags
        if old in kept and new not in kept:
            kept[new] = kept.pop(old)
