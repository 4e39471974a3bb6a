"""The Plans page: a FastAPI app that the plugin mounts under ``/planner``."""
