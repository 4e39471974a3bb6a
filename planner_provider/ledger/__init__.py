"""What happened: runs, acts, leases, compiled plans, audit. Its own database; knows no Airflow.

``Ledger`` is the door; everything it takes and gives is a frozen dataclass of ``rows``.
"""

from planner_provider.ledger.ledger import Ledger
from planner_provider.ledger.location import ledger_url

__all__ = ["Ledger", "ledger_url"]
