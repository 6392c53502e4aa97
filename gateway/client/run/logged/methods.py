"""
The methods of a run that log artifacts: references, files, folders, and values as files.
"""

from __future__ import annotations

from gateway.client.encoding.values import now
from gateway.client.guards import Refused, never_raises, safe_repr
from gateway.client.notices import warn_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike
    from typing import Any

    from gateway.client.journal.series import StepContext
    from gateway.client.recording.recorder import Recorder
    from gateway.client.run.artifacts import LoggedArtifact
    from gateway.client.run.stored_artifacts import ArtifactLog


class ArtifactMethods:
    """What `Run` has of artifacts. Nothing here raises."""

    id: str
    recorder: Recorder
    _artifacts: ArtifactLog | None  # made by the first artifact

    @never_raises("artifact")
    def artifact(self, name: str, uri: str, size: int | None = None, sha256: str = "", *, media_type: str = "") -> None:
        """Record a reference to bytes kept elsewhere. `size` is in bytes, `sha256` is 64 hex digits."""
        from gateway.client.run.artifacts import artifact_body, record_reference

        body = artifact_body(name, uri, size, sha256, media_type)
        record_reference(self.recorder, now(), self._context(), body)

    @never_raises("log_artifact")
    def log_artifact(
        self,
        path: str | PathLike[str],
        name: str | None = None,
        *,
        artifact_path: str | None = None,
        media_type: str = "",
    ) -> LoggedArtifact | None:
        """
        Log a file as an artifact, under its own name or `name`, in the folder `artifact_path` of the run.

        If an artifact store is set (GATEWAY_ARTIFACTS), its bytes are stored there, as they are now, by a background
        thread; a folder is stored as its files. Otherwise the run refers to the file or folder by its file: URI, and
        the bytes stay in place. The value that is returned says which: its `store` is "" for a reference; it is None
        if nothing was recorded, which one line on stderr explains.

        The file is recorded at once as a reference, and again with size and SHA-256 when they are known and, with a
        store, the bytes are there. `finish` waits for that within its time. docs/artifacts.md has the rest.
        """
        from gateway.client.run.stored_artifacts import name_in_run

        named = name_in_run(path, name, artifact_path)
        return self._artifact_log().log_path(path, named, media_type, self._context())

    @never_raises("log_artifacts")
    def log_artifacts(
        self, folder: str | PathLike[str], artifact_path: str | None = None
    ) -> list[LoggedArtifact] | None:
        """
        Log each file below a folder, as `log_artifact` does, under its path in the folder, below `artifact_path`.

        Links out of the folder, links to folders, pipes and devices are passed over, which one line on stderr says.
        """
        from gateway.client.artifacts.paths import safe_path

        named = safe_path(artifact_path) if artifact_path else ""
        return self._artifact_log().log_folder(folder, named, self._context())

    def log_text(self, text: object, name: str) -> LoggedArtifact | None:
        """
        Log text as an artifact: `run.log_text(summary, "notes/summary.md")`. In UTF-8, of any length.

        This and the methods below write a file and log it as `log_artifact` does: with an artifact store its bytes go
        there, else it stays on this machine. They return None for a value that cannot be written, which one line on
        stderr explains, and never raise.
        """
        from gateway.client.artifacts.values.documents import write_text

        return self._log_value("log_text", write_text, text, name)

    def log_dict(self, value: object, name: str) -> LoggedArtifact | None:
        """
        Log a dict, a list or an object of fields as an artifact: `run.log_dict(config, "config.yaml")`.

        As YAML for .yaml and .yml, otherwise as JSON, where NaN and infinities are text.
        """
        from gateway.client.artifacts.values.documents import write_dict

        return self._log_value("log_dict", write_dict, value, name, ".json")

    def log_figure(self, figure: object, name: str) -> LoggedArtifact | None:
        """
        Log a figure as an artifact: `run.log_figure(fig, "loss.png")`.

        matplotlib: a Figure, an Axes or `pyplot`, as .png, .svg, .pdf or .jpg. Plotly: as .html, which needs no
        network to be shown, .json, or, where kaleido is installed, an image.
        """
        from gateway.client.artifacts.values.figures import suffix_of_figure, write_figure

        return self._log_value("log_figure", write_figure, figure, name, suffix_of_figure)

    def log_image(self, image: object, name: str) -> LoggedArtifact | None:
        """
        Log an image as an artifact: `run.log_image(array, "sample.png")`; pillow writes it.

        An image of PIL, or an array or tensor: height × width, with 1, 3 or 4 channels last or first. Numbers with a
        fraction are brightness from 0 to 1, integers from 0 to 255.
        """
        from gateway.client.artifacts.values.images import write_image

        return self._log_value("log_image", write_image, image, name, ".png")

    def log_table(self, table: object, name: str) -> LoggedArtifact | None:
        """
        Log a table as an artifact: `run.log_table({"step": [0, 1], "loss": [0.5, 0.4]}, "losses.csv")`.

        A data frame of pandas or polars, a dict of columns, or a list of rows, each a dict; as .json, .csv or .parquet.
        """
        from gateway.client.artifacts.values.tables import write_table

        return self._log_value("log_table", write_table, table, name, ".json")

    @never_raises("log_value")
    def _log_value(
        self,
        method: str,
        write: Callable[[Any, str], None],
        value: object,
        name: object,
        suffix: str | Callable[[object], str] = "",
    ) -> LoggedArtifact | None:
        from gateway.client.run.logged.values import log_value

        try:
            return log_value(self._artifact_log(), self.id, write, value, name, suffix, self._context())
        except Refused as error:
            warn_once(f"{method}-{error.kind}", f"{method}({safe_repr(name)}): {error}. It is not logged")
            return None

    def _artifact_log(self) -> ArtifactLog:
        if self._artifacts is None:
            from gateway.client.run.stored_artifacts import ArtifactLog

            # One operation: another thread, or a signal handler, may log its first artifact at this moment.
            made: ArtifactLog = self.__dict__.setdefault("_artifacts", ArtifactLog(self.recorder))
            return made
        return self._artifacts

    def _context(self) -> StepContext:
        """Return named step, attempt and labels of a record made now; `Run` has it."""
        raise NotImplementedError
