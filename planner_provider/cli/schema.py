"""``planner schema``: the JSON Schema by which editors complete and check specs."""

from __future__ import annotations

from planner_provider.cli.options import Output
from planner_provider.cli.terminal import write


def schema(output: Output = None) -> None:
    """Write the JSON Schema of specs, for editors.

    Specs name it in their first line: # yaml-language-server: $schema=planner.schema.json
    """
    from planner_provider.spec.schema import schema_json

    write(schema_json(), output)
