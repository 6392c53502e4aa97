"""
Read the NVIDIA GPUs of this machine through nvidia-ml-py, where that and a driver are installed.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def find_reader() -> Callable[[], dict[str, float]] | None:
    """Return a function that reads the GPUs, or None if there is no GPU that can be read."""
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
                    continue  # not supported, for example the power of one partition of a card
        return found

    return read if cards else None
