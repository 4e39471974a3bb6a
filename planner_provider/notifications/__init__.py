"""Telling people what happens to plans.

An event becomes notices in the ledger, one for each way by which somebody is told (``routing``),
and these are sent through the services that Airflow's Connections name (``services``): at once if
that works, else later by whoever comes next (``outbox``, ``sender``). Nothing here changes how a
plan goes on or ends.
"""
