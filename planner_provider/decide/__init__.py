"""Decisions as pure functions: inputs in, a verdict with reasons and numbers out.

Nothing here reads a clock, a network, a database or Airflow, so that every decision can be made
again later from its recorded inputs, to the byte.
"""
