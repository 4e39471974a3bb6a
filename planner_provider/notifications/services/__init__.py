"""The services that people are told through: one module each.

Each is reached through Airflow's own provider where there is one. What a module needs of it is
imported when something is sent, so that a provider that is not installed is missed by nobody else.
"""
