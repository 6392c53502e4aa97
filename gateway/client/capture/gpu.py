"""
What the NVIDIA GPUs of this machine do, through nvidia-ml-py where it and a driver are there.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def find_reader() -> Callable[[], dict[str, float]] | None:
    """Return what reads the GPUs, or None when there are none that can be read."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        cards = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return None  # no driver, or no card

    questions: dict[str, Callable[[object], float]] = {
        "utilization_percent": lambda card: pynvml.nvmlDeviceGetUtilizationRates(card).gpu,
        "memory_used_bytes": lambda card: pynvml.nvmlDeviceGetMemoryInfo(card).used,
        "power_watts": lambda card: pynvml.nvmlDeviceGetPowerUsage(card) / 1_000,
        "temperature_celsius": lambda card: pynvml.nvmlDeviceGetTemperature(card, pynvml.NVML_TEMPERATURE_GPU),
    }

    def read() -> dict[str, float]:
        found: dict[str, float] = {}
        for number, card in enumerate(cards):
            for name, ask in questions.items():
                try:
                    found[f"gpu/{number}/{name}"] = float(ask(card))
                except pynvml.NVMLError:
                    continue  # this card cannot tell, for example the power of a part of one
        return found

    return read if cards else None
