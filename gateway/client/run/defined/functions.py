"""
The function of `gateway` that says what a metric of the current run means.
"""

from __future__ import annotations

from gateway.client.run.current import run_here


def define_metric(  # noqa: PLR0913 -- each is a fact about a metric
    name: str,
    *,
    goal: str | None = None,
    unit: str | None = None,
    panel: str | None = None,
    x: str | None = None,
    alarm: str | None = None,
    description: str | None = None,
    hidden: bool | None = None,
    summary: str | None = None,
) -> None:
    """Say what a metric of the current run means: its goal, unit, chart, x axis and alarm. See Run.define_metric."""
    run_here().define_metric(
        name, goal=goal, unit=unit, panel=panel, x=x, alarm=alarm, description=description, hidden=hidden,
        summary=summary,
    )  # fmt: skip
