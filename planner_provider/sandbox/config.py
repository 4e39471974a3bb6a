"""What a simulated production is made of: services, flags and what makes a version bad.

The models read JSON (``--config FILE``), refuse unknown keys and never change. ``default_world()``
is what the demo, the game days and most tests use.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
"""Name of a service: lower case letters, digits, ``-`` and ``_``."""

Version = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")]
"""A version such as ``1.4.2`` or ``1.4.2-bad``: at most 64 characters, none of which needs
quoting.
"""

FlagName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
"""Name of a feature flag or of a hook."""

Ratio = Annotated[float, Field(ge=0, le=1)]

RESERVED_NAMES = frozenset({"hooks"})
"""Names that no service may have, because faults use them for something else."""


class Frozen(BaseModel):
    """Base of the models here: immutable, no unknown keys, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)


class Noise(Frozen):
    """Autocorrelated noise: a latent AR(1) process with mean 0 and standard deviation 1.

    ``rho`` is the correlation between one simulated second and the next. The error ratio is
    multiplied by ``exp(error_sd * x - error_sd**2 / 2)``, whose mean is 1, and the latency by
    ``exp(latency_sd * x)``, whose median is 1. With both at 0 there is no noise beyond Poisson and
    binomial.
    """

    error_sd: float = Field(default=0, ge=0, le=3)
    latency_sd: float = Field(default=0, ge=0, le=3)
    rho: float = Field(default=0.9, ge=0, lt=1)

    @property
    def silent(self) -> bool:
        """Whether this noise does nothing."""
        return self.error_sd == 0 and self.latency_sd == 0


class ServiceConfig(Frozen):
    """One service as it is when nothing is wrong.

    ``rps`` is the mean over the day of all requests a second. ``daily_amplitude`` 0.5 makes the
    peak 1.5 times and the trough 0.5 times that. ``capacity_rps`` is what one replica can serve
    (none: any amount). ``noise`` is shared by stable and canary; ``track_noise`` is drawn for each
    of them apart.
    """

    name: Name
    version: Version
    replicas: int = Field(default=3, ge=0, le=10_000)
    rps: float = Field(default=10, ge=0, le=100_000)
    daily_amplitude: Ratio = 0
    daily_peak_hour: float = Field(default=15, ge=0, lt=24)
    error_ratio: Ratio = 0.001
    median_ms: float = Field(default=50, gt=0, le=60_000)
    p99_ms: float = Field(default=200, gt=0, le=600_000)
    capacity_rps: float | None = Field(default=None, gt=0)
    noise: Noise = Noise()
    track_noise: Noise = Noise()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.p99_ms < self.median_ms:
            raise ValueError(f"p99_ms {self.p99_ms:g} is below median_ms {self.median_ms:g}")
        if self.name in RESERVED_NAMES:
            raise ValueError(f"a service cannot be called {self.name!r}: the name is reserved")
        return self


class FlagConfig(Frozen):
    """A feature flag that exists from the start; ``service`` says whose it is, if anybody's."""

    name: FlagName
    enabled: bool = False
    percentage: int = Field(default=0, ge=0, le=100)
    service: Name | None = None


class WorldConfig(Frozen):
    """The whole simulated production.

    ``bad_versions`` and ``slow_versions`` are shell patterns. A bad version fails
    ``bad_error_ratio`` of its requests (or the service's own ratio where that is higher); a slow
    one takes ``slow_factor`` times as long.
    """

    services: tuple[ServiceConfig, ...] = Field(min_length=1, max_length=200)
    flags: tuple[FlagConfig, ...] = ()
    bad_versions: tuple[str, ...] = ("*-bad",)
    slow_versions: tuple[str, ...] = ("*-slow",)
    bad_error_ratio: Ratio = 0.05
    slow_factor: float = Field(default=3, ge=1, le=1000)
    orders_rows: int = Field(default=400, ge=0, le=100_000)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for kind, names in (
            ("service", [service.name for service in self.services]),
            ("flag", [flag.name for flag in self.flags]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{kind} {', '.join(twice)} stands there more than once")
        return self

    def is_bad(self, version: str) -> bool:
        """Whether this version fails more than it should."""
        return any(fnmatchcase(version, pattern) for pattern in self.bad_versions)

    def is_slow(self, version: str) -> bool:
        """Whether this version is slower than it should be."""
        return any(fnmatchcase(version, pattern) for pattern in self.slow_versions)


def default_world() -> WorldConfig:
    """Five services of a small shop, from busy to nearly idle, all healthy."""
    return WorldConfig(
        services=(
            ServiceConfig(
                name="frontend",
                version="3.9.0",
                replicas=4,
                rps=60,
                error_ratio=0.001,
                median_ms=40,
                p99_ms=180,
                capacity_rps=40,
            ),
            ServiceConfig(
                name="checkout",
                version="1.4.1",
                replicas=3,
                rps=25,
                error_ratio=0.002,
                median_ms=60,
                p99_ms=240,
                capacity_rps=20,
            ),
            ServiceConfig(
                name="payments",
                version="2.7.3",
                replicas=3,
                rps=12,
                error_ratio=0.001,
                median_ms=80,
                p99_ms=280,
                capacity_rps=12,
            ),
            ServiceConfig(
                name="auth",
                version="5.0.2",
                replicas=2,
                rps=40,
                error_ratio=0.0005,
                median_ms=15,
                p99_ms=60,
                capacity_rps=50,
            ),
            ServiceConfig(
                name="orders",
                version="1.12.0",
                replicas=2,
                rps=2,
                error_ratio=0.002,
                median_ms=50,
                p99_ms=220,
                capacity_rps=10,
            ),
        ),
        flags=(
            FlagConfig(name="new_checkout", enabled=True, percentage=100, service="checkout"),
            FlagConfig(name="dark_mode", enabled=True, percentage=10, service="frontend"),
        ),
    )
