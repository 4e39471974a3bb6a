"""The routes of the app, one module a subject."""
