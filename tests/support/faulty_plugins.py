"""Third-party plug-ins with every kind of defect, each installed as a separate distribution."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = "FAULTY_PLUGINS_FOLDER"  # environment variable: the folder of the files of the correct plug-in

_GOOD = '''
import os
from pathlib import Path


class Good:
    """Appends one line per envelope; `in_doubt` prevents duplicates."""

    name = "good"
    cannot_hold = ()

    def open(self, settings):
        self.folder = Path(os.environ["FAULTY_PLUGINS_FOLDER"])

    def close(self):
        pass

    def read_back(self, run_id, state):
        raise NotImplementedError

    def deliver(self, run_id, envelopes, state, in_doubt=0):
        path = self.folder / f"{self.name}-{run_id}"
        there = set(path.read_text().splitlines()) if path.exists() else set()
        for number, envelope in enumerate(envelopes):
            line = f"{envelope.producer} {envelope.seq}"
            if number >= in_doubt or line not in there:
                with path.open("a") as out:
                    out.write(line + "\\n")
        return {"batches": state.get("batches", 0) + len(envelopes)}
'''


def _of_good(body: str) -> str:
    lines = "".join(f"        {line}\n" for line in body.strip().splitlines())
    return f"{_GOOD}\n\nclass Odd(Good):\n    def deliver(self, run_id, envelopes, state):\n{lines}"


# Defects in `deliver`, for every run: its runs are parked.
DELIVER = {
    "raises": ('raise ZeroDivisionError("of this plug-in")', "the tracker raised ZeroDivisionError: of this plug-in"),
    "exits-softly": ('raise SystemExit("enough")', "the tracker raised SystemExit: enough"),
    "interrupts": ("raise KeyboardInterrupt", "the tracker raised KeyboardInterrupt: "),
    "cancels": ("import asyncio\nraise asyncio.CancelledError", "the tracker raised CancelledError: "),
    "stops": ("raise StopIteration", "the tracker raised StopIteration: "),
    "recurses": ("return self.deliver(run_id, envelopes, state)", "the tracker raised RecursionError: "),
    "huge-state": ('return {"x": "y" * 10_000_000}', "the tracker raised ValueError: deliver returned a state of 10,"),
    "odd-state": ('return {"x": object()}', "the tracker raised TypeError: Object of type object is not JSON"),
    "no-state": ("return [1]", "the tracker raised TypeError: deliver returned list, not a JSON object"),
    "nan-state": ('return {"x": float("nan")}', "the tracker raised ValueError: Out of range float values"),
    "nul-state": ('return {"x": "a\\0b"}', "the tracker raised ValueError: deliver returned a state with characters"),
    "half-a-pair": ('return {"x": "\\ud800"}', "the tracker raised ValueError: deliver returned a state with charact"),
    "nul-reason": ('raise ValueError("a\\0b\\ud800" * 100_000)', "the tracker raised ValueError: a\\x00b\\ud800"),
    "no-text": (
        "class Odd(Exception):\n    def __str__(self): raise OSError\nraise Odd",
        "the tracker raised Odd: (its text cannot be read)",
    ),
    "odd-pause": (
        'from schemas.errors import TrackerUnavailable\nraise TrackerUnavailable("away", retry_after_s=float("nan"))',
        "away",
    ),
}

# Defects found before an event is read: the process reports them in one line and is not restarted.
LOAD = {
    "no-import": ("import a_vendor_that_is_not_there", "ModuleNotFoundError: No module named 'a_vendor_that_is_not_t"),
    "exits-in-import": ('raise SystemExit("no licence")', "SystemExit: no licence"),
    "wrong-call": (f"{_GOOD}\n\nclass Odd(Good):\n    def deliver(self): ...", "cannot be called as deliver(run_id, "),
    "odd-capabilities": (
        f"{_GOOD}\n\nclass Odd(Good):\n    capabilities = 'all'",
        "its `capabilities` must be a Capab",
    ),
    "odd-losses": (f"{_GOOD}\n\nclass Odd(Good):\n    cannot_hold = 5", "has no list of texts `cannot_hold`"),
    "odd-open": (f"{_GOOD}\n\nclass Odd(Good):\n    def open(self, settings): 1 / 0", "cannot be opened (ZeroDivision"),
}

# Defects that Python cannot catch: the process ends, or must be ended.
END = {
    "dies-in-import": ("import os\nos._exit(3)", "loading tracker dies-in-import"),
    "hangs-in-import": ("import time\ntime.sleep(10_000)", "its import or `open` hangs since"),
    "hangs-in-open": (
        f"{_GOOD}\n\nclass Odd(Good):\n    def open(self, settings):\n        import time; time.sleep(10_000)",
        "its import or `open` hangs since",
    ),
    "hangs": (_of_good("import time\ntime.sleep(10_000)"), "deliver of run"),
    "dies": (_of_good("import os\nos._exit(3)"), "the process ended in the middle of a call for run "),
}

_LOUD = "print(chr(27) + str(envelopes))\nreturn super().deliver(run_id, envelopes, state)"
PRINTS = f'print("loud" * 1_000, flush=True)\n{_of_good(_LOUD)}'


def install(folder: Path, source: dict[str, str]) -> None:
    """Install each source as a distribution whose tracker has its name; the class is Odd or Good."""
    for name, text in source.items():
        module = "stranger_" + name.replace("-", "_")
        info = folder / f"{module}-1.0.dist-info"
        info.mkdir(parents=True)
        (folder / f"{module}.py").write_text(text)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        made = "Odd" if "class Odd" in text or "class Good" not in text else "Good"
        (info / "entry_points.txt").write_text(f"[gateway.trackers]\n{name} = {module}:{made}\n")


def sources() -> dict[str, str]:
    """Return all sources by name, and a correct one."""
    return {
        "good": _GOOD,
        "prints": PRINTS,
        **{name: _of_good(body) for name, (body, _) in DELIVER.items()},
        **{name: text for name, (text, _) in (LOAD | END).items()},
    }


def variables(site: Path, written: Path) -> dict[str, str]:
    """Return the environment in which a process finds them, with the folder of the correct one."""
    return {"PYTHONPATH": os.pathsep.join([str(site), str(ROOT)]), FOLDER: str(written)}
