"""What holds for all tests."""

from hypothesis import settings

# How long an example takes is no test's business: a machine may be busy. `timeout` ends what hangs.
settings.register_profile("planner", deadline=None)
settings.load_profile("planner")
