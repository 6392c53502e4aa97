"""
Put the steps of branches where Magnus' run log has them: inside the step of a type in COMPOSITES that ran them.

Pure. A step of a branch has the internal name `<composite>.<branch>.<name>`, and rows hold steps by that name. Only a
step of one of these types holds others, so a dot in the name of any other step means nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from schemas.runlog import BranchLog, LogStatus, StepLog

COMPOSITES = ("map", "parallel", "dag", "conditional", "loop")  # the last two are runnable's
_ENDS: Mapping[str, LogStatus] = {"fail": "FAIL", "success": "SUCCESS"}  # by the type of the node that ends a branch


def nest(steps: Mapping[str, StepLog]) -> dict[str, StepLog]:
    """Return the steps of the run by internal name, those of branches inside the `branches` of their step."""
    composites = [name for name, step in steps.items() if step.step_type in COMPOSITES]
    if not composites:
        return dict(steps)
    outer: dict[str, StepLog] = {}
    for name, step in steps.items():
        branch = name.removesuffix(f".{step.name}") if step.name != name else name
        holders = [one for one in composites if branch.startswith(f"{one}.")]
        if branch == name or not holders:
            outer[name] = step
            continue
        branches = steps[max(holders, key=len)].branches
        inside = branches.setdefault(branch, BranchLog(internal_name=branch))
        inside.steps[name] = step
        inside.status = _ENDS.get(step.step_type, inside.status)
    return outer
