"""Debian's Prometheus on loopback, with series that a test writes as OpenMetrics."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

DAY = 86400
MISSING = "Debian's package prometheus is not installed; see CONTRIBUTING.md"


@dataclass(frozen=True)
class Series:
    name: str
    labels: Mapping[str, str]
    value: Callable[[float], float]
    """Seconds before now -> value."""
    until: float = 0
    """Seconds before now of the newest sample."""
    since: float = 31 * DAY

    def lines(self, now: float) -> Iterator[str]:
        labels = ",".join(f'{name}="{value}"' for name, value in self.labels.items())
        for age in ages():
            if self.until <= age <= self.since:
                yield f"{self.name}{{{labels}}} {self.value(age)} {now - age:.3f}"


def counter(
    name: str, per_second: Callable[[float], float], *, until: float = 0, since: float = 31 * DAY,
    **labels: str,
) -> Series:  # fmt: skip
    """A counter that rises by a rate that depends on the seconds before now."""
    total, values = 0.0, {}
    steps = [age for age in ages() if age <= since]
    for older, age in zip(steps, [*steps[1:], None], strict=True):
        values[older] = total
        total += per_second(older) * (older - age) if age is not None else 0
    return Series(name, labels, values.__getitem__, until, since)


def ages() -> Iterator[float]:
    """Seconds before now: every four minutes for 31 days, then every 15 s for two hours."""
    yield from (float(age) for age in range(31 * DAY, 7200, -240))
    yield from (float(age) for age in range(7200, -1, -15))


@contextmanager
def prometheus_with(folder: Path, series: Iterable[Series]) -> Iterator[str]:
    """Run Prometheus with these series; give its address."""
    assert shutil.which("prometheus"), MISSING
    assert shutil.which("promtool"), MISSING
    now = float(int(time.time()))
    text, told = folder / "series.txt", set()
    with text.open("w") as file:
        for item in sorted(series, key=lambda item: item.name):
            if item.name not in told:
                told.add(item.name)
                file.write(f"# TYPE {item.name} unknown\n")
            file.writelines(f"{line}\n" for line in item.lines(now))
        file.write("# EOF\n")
    data = folder / "data"
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics",
               "--max-block-duration=512h", "-q", str(text), str(data)]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, text=True)
    config = folder / "prometheus.yml"
    config.write_text("global: {scrape_interval: 1h}\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={data}",
             f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=90d"],
            stdout=log, stderr=log,
        )  # fmt: skip
        try:
            _wait_until_ready(url, process, folder / "prometheus.log")
            yield url
        finally:
            process.terminate()
            process.wait(20)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{url}/-/ready", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"Prometheus did not start:\n{log.read_text()[-2000:]}")
