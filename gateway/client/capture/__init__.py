"""
What is recorded without calls: host, code, console and system metrics.

- `capture`: what is switched on. `host`: command line, host, packages. `git`: commit and changes. `console`: printed
  lines.
- `system`: metrics of the machine at an interval, from `machine` (psutil or /proc) and `gpu` (nvidia-ml-py).
"""
