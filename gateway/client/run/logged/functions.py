"""
The functions of `gateway` that log values as artifacts of the current run.
"""

from __future__ import annotations

from gateway.client.run.current import run_here

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gateway.client.run.artifacts import LoggedArtifact


def log_text(text: object, name: str) -> LoggedArtifact | None:
    """Log text as an artifact of the current run. See Run.log_text."""
    return run_here().log_text(text, name)


def log_dict(value: object, name: str) -> LoggedArtifact | None:
    """Log a dict as JSON or YAML, an artifact of the current run. See Run.log_dict."""
    return run_here().log_dict(value, name)


def log_figure(figure: object, name: str) -> LoggedArtifact | None:
    """Log a figure of matplotlib or Plotly as an artifact of the current run. See Run.log_figure."""
    return run_here().log_figure(figure, name)


def log_image(image: object, name: str) -> LoggedArtifact | None:
    """Log an image or an array as an artifact of the current run. See Run.log_image."""
    return run_here().log_image(image, name)


def log_table(table: object, name: str) -> LoggedArtifact | None:
    """Log a table as an artifact of the current run. See Run.log_table."""
    return run_here().log_table(table, name)
