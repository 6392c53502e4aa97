"""
An error for each request that was refused: what the fold decided, and the next step.
"""

from __future__ import annotations

from gateway.client.errors import AlreadyExists, HasChanged, IsDeleted, NotDeleted, NotFound, RegistryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_KINDS = {
    "exists": AlreadyExists, "absent": NotFound, "deleted": IsDeleted, "active": NotDeleted, "changed": HasChanged,
}  # fmt: skip


def refusal(decision: Mapping[str, Any]) -> RegistryError:
    """Return the error that a decision other than "done" stands for."""
    kind = _KINDS.get(decision["outcome"], RegistryError)
    reason = str(decision["reason"]).partition(": ")[0] if kind is IsDeleted else str(decision["reason"])
    return kind(f"{reason}: {_next_step(decision)}", decision=decision)


def _next_step(decision: Mapping[str, Any]) -> str:
    outcome, collection, result = decision["outcome"], decision["collection"], decision["result"]
    if collection in ("views", "alert_rules"):
        return _next_of_saved(outcome)
    one = collection.removesuffix("s")
    if result.get("deleted") and "experiment_id" in result:
        restore = f"restore it with `gateway experiments restore {result['experiment_id']}`"
        return f"{restore}, or choose another name" if outcome == "exists" else restore
    if outcome == "exists":
        return "use that one, or choose another name"
    if outcome == "active":
        return "nothing has to be restored"
    if outcome == "too_large":
        return "remove tags, or store what they hold as an artifact"
    if "version" in result or decision["kind"] == "model_alias_deleted":
        return f"see what it has with `gateway models show {result.get('name', decision['subject_id'])}`"
    return f"list them with `gateway {collection} list`, or create the {one} first"


def _next_of_saved(outcome: str) -> str:
    if outcome == "changed":
        return "read the newest version, and save again with its number as based_on"
    if outcome == "exists":
        return "choose another id, or save with the newest version as based_on"
    return "save it without based_on to have it again" if outcome == "deleted" else "correct the id"
