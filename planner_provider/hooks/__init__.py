"""The wires to the outside: HTTP, databases, processes. Errors come out by consequence."""
