"""What the benchmarks share: the harness of the client tests, numbers in words, the machine."""

import os
import pathlib
import platform
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "clients"))


def machine():
    """One line about where this runs."""
    model = next(
        (line.split(":", 1)[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")),
        platform.machine(),
    )  # fmt: skip
    version = subprocess.run(["mariadbd", "--version"], capture_output=True, text=True, check=False).stdout.split("Ver ")[-1].split(" ")[0]
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"machine: {os.cpu_count()} cores {model}, Linux {platform.release()}, MariaDB {version}, load {load}"


def summary(values, unit, scale=1.0, digits=3):
    """Median and spread (lowest to highest) of measurements."""
    scaled = sorted(value * scale for value in values)
    return f"median {statistics.median(scaled):.{digits}f} {unit} ({scaled[0]:.{digits}f} to {scaled[-1]:.{digits}f}, n={len(scaled)})"


def verdict(reached):
    """How a target is reported."""
    return "reached" if reached else "MISSED"
