"""A simulated production of a few services, over plain HTTP, for the demo, game days and tests.

``python -m planner_provider.sandbox --help`` runs it as a process, ``Sandbox`` in a test, and
``SandboxClient`` talks to either. What it serves is in ``api``, what it writes to SQLite in
``store``, what can go wrong in ``faults``.
"""

from planner_provider.sandbox.client import SandboxClient
from planner_provider.sandbox.config import (
    FlagConfig,
    Noise,
    ServiceConfig,
    WorldConfig,
    default_world,
)
from planner_provider.sandbox.running import Sandbox

__all__ = [
    "FlagConfig",
    "Noise",
    "Sandbox",
    "SandboxClient",
    "ServiceConfig",
    "WorldConfig",
    "default_world",
]
