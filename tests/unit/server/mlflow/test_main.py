"""The process of the door where MLflow is not installed."""

from __future__ import annotations

import subprocess
import sys

WITHOUT = """
import runpy, sys
sys.modules["mlflow"] = None  # as if it were not installed
runpy.run_module("gateway.server.mlflow", run_name="__main__")
"""


def test_without_mlflow_it_says_what_to_install_and_is_not_started_again() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False)

    assert done.returncode == 78, done.stderr
    assert 'pip install "tracking-gateway[mlflow]"' in done.stderr
    assert "Traceback" not in done.stderr
