"""Environment variables are noticed at the moment at which a program sets them."""

from __future__ import annotations

import subprocess
import sys

from tests.support.client_harness import ROOT

# In a process of its own: an audit hook cannot be removed.
PROGRAM = """
import os, threading
from gateway.dialects.magnus.watch import watch
seen = []
watch("MAGNUS_TRACK_", lambda name, value: seen.append((name, value, name in os.environ)))
watch("MAGNUS_TRACK_", lambda name, value: seen.append((name, value, os.environ.get(name))))
os.environ["PATH"] = "/bin"
os.environ["MAGNUS_TRACK_a"] = "1"
os.environ["MAGNUS_TRACK_a"] = "é\\udcff"
thread = threading.Thread(target=os.environ.update, args=({"MAGNUS_TRACK_b": "2"},))
thread.start()
thread.join()
del os.environ["MAGNUS_TRACK_a"]
if os.fork() == 0:
    os.environ["MAGNUS_TRACK_c"] = "3"
    assert len(seen) == 4, seen
    os._exit(0)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
print(ascii(seen))
"""


def test_each_value_is_noticed_once_before_it_is_set() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == ascii([
        ("MAGNUS_TRACK_a", "1", None), ("MAGNUS_TRACK_a", "é\udcff", "1"), ("MAGNUS_TRACK_b", "2", None)
    ])  # fmt: skip
