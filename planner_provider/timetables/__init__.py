"""When plans start by themselves."""
