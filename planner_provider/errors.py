"""The exceptions of this package, sorted by what has to happen next.

::

    PlannerError
    ├── SpecError            the spec is wrong: its author mends it
    ├── RefusedError         the world or a rule says no: trying again cannot help
    │   ├── NotAvailableError    the plan asks for something this release cannot do yet
    │   ├── SupersededError      the plan changed while it ran
    │   ├── AbortedError         a person stopped the run
    │   ├── FailingRunError      another step of the run failed for good
    │   ├── RollBackError        what is under way is not good: it must be undone
    │   └── NoAuthorityError     the lease, approval or predecessor that the step needs is missing
    ├── CheckFailedError     something was measured and is not as the plan expects
    ├── UnavailableError     try later: the other side did not answer, or answered 5xx or 429
    ├── MisconfiguredError   a connection or setting is missing or wrong: an administrator mends it
    └── AttentionError       a person must look: the result of an act is not known

``RETRY_CLASSES`` gives each class the word that specs use in ``retries.never``.
"""

from __future__ import annotations


class PlannerError(Exception):
    """Base of every error that this package raises on purpose."""


class SpecError(PlannerError):
    """A spec is wrong. Its author must mend it."""


class RefusedError(PlannerError):
    """The other side, or a rule, refused. Trying the same again cannot help."""


class NotAvailableError(RefusedError):
    """The plan asks for something that this release does not do yet."""


class SupersededError(RefusedError):
    """The plan was changed while a run of it was under way."""


class AbortedError(RefusedError):
    """A person stopped the run."""


class FailingRunError(RefusedError):
    """Another step of the run failed for good; there is no use in waiting on."""


class NoAuthorityError(RefusedError):
    """A step was started without the lease, the approval or the predecessors that it needs."""


class RollBackError(RefusedError):
    """What is under way was found not to be good, or not known to be; it must be undone."""


class CheckFailedError(PlannerError):
    """Something was measured and is not as the plan expects."""


class UnavailableError(PlannerError):
    """The other side did not answer, or said that it cannot now. Trying later may help."""


class MisconfiguredError(PlannerError):
    """A connection or a setting is missing or wrong. An administrator must mend it."""


class AttentionError(PlannerError):
    """The result of an act is not known. A person must look before anything goes on."""


RETRY_CLASSES: dict[str, type[PlannerError]] = {
    "refused": RefusedError,
    "check_failed": CheckFailedError,
    "unavailable": UnavailableError,
    "misconfigured": MisconfiguredError,
    "attention": AttentionError,
}
"""Word in a spec -> class of error. Errors of other kinds fall under the word ``error``."""
