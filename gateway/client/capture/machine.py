"""
Read what the machine and this process use of processor, memory, disk and network: by psutil, or by /proc without it.

Rising counters are returned as they are; the caller makes a rate of two readings.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# Rising counters; a rate of one has its unit per second.
COUNTERS = (
    "cpu_seconds", "process_cpu_seconds", "disk_read_bytes", "disk_written_bytes", "network_sent_bytes",
    "network_received_bytes",
)  # fmt: skip
NOT_BUSY = ("idle", "iowait", "guest", "guest_nice")  # user time already includes the time of guests


def find_reader() -> Callable[[], dict[str, float]]:
    """Return a function that reads this machine: with psutil if it is installed, else from /proc."""
    try:
        import psutil
    except ImportError:
        return _read_proc
    process = psutil.Process()

    def read() -> dict[str, float]:
        times, memory, disk = psutil.cpu_times(), psutil.virtual_memory(), psutil.disk_io_counters()
        net, own = psutil.net_io_counters(), process.cpu_times()
        found: dict[str, float] = {
            "cpu_seconds": sum(times) - sum(getattr(times, name, 0.0) for name in NOT_BUSY),
            "memory_used_bytes": memory.total - memory.available,
            "memory_percent": memory.percent,
            "process_cpu_seconds": own.user + own.system,
            "process_memory_bytes": process.memory_info().rss,
        }
        if disk is not None:
            found |= {"disk_read_bytes": disk.read_bytes, "disk_written_bytes": disk.write_bytes}
        if net is not None:
            found |= {"network_sent_bytes": net.bytes_sent, "network_received_bytes": net.bytes_recv}
        return found

    return read


def _read_proc() -> dict[str, float]:
    tick = os.sysconf("SC_CLK_TCK")
    user, nice, system, _idle, _wait, *rest = map(int, _lines("/proc/stat")[0].split()[1:])
    memory = {line.split(":")[0]: int(line.split()[1]) * 1_024 for line in _lines("/proc/meminfo")}
    used, total = memory["MemTotal"] - memory["MemAvailable"], memory["MemTotal"]
    own = os.times()
    found: dict[str, float] = {
        "cpu_seconds": (user + nice + system + sum(rest[:3])) / tick,
        "memory_used_bytes": used,
        "memory_percent": 100.0 * used / total,
        "process_cpu_seconds": own.user + own.system,
        "process_memory_bytes": int(_lines("/proc/self/statm")[0].split()[1]) * os.sysconf("SC_PAGE_SIZE"),
    }
    cards = [line.partition(":")[2].split() for line in _lines("/proc/net/dev")[2:]]
    found["network_received_bytes"] = sum(int(card[0]) for card in cards)
    found["network_sent_bytes"] = sum(int(card[8]) for card in cards)
    return found


def _lines(path: str) -> list[str]:
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read().splitlines()
