"""`import gateway` loads nothing but the package itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

import gateway
from tests.support.client_harness import train


def modules(code: str) -> set[str]:
    """Return the modules that a fresh interpreter imports for a line of code, according to `-X importtime`."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


def test_importing_gateway_imports_nothing_else() -> None:
    assert modules("import gateway") - modules("pass") <= {"gateway", "__future__"}


def test_a_run_without_kafka_imports_no_library_but_the_standard_one() -> None:
    found = modules("import gateway; gateway.start_run(url='none:').finish()")

    assert not {name for name in found if name.partition(".")[0] in ("pydantic", "aiokafka", "schemas", "consumers")}


def test_importing_gateway_reads_no_environment_and_starts_no_thread() -> None:
    done = train(
        """
        import os, sys
        class Sealed(dict):
            def __getitem__(self, name): raise AssertionError(name)
            get = __contains__ = __getitem__
        os.environ = Sealed()
        import gateway
        dir(gateway), gateway.__version__
        assert "threading" not in sys.modules
        """,
        {},
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_exported_names_are_sorted_and_all_there() -> None:
    assert gateway.__all__ == sorted(gateway.__all__)
    assert [name for name in gateway.__all__ if getattr(gateway, name).__doc__ is None] == []
    assert set(gateway.__all__) <= set(dir(gateway))


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'emmit'"):
        gateway.emmit  # type: ignore[attr-defined]  # noqa: B018 -- the test is the access
