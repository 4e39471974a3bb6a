#!/usr/bin/env bash
# Print the first Python that is new enough and runs: python3, else python3.13, 3.12 or 3.11.
# PYTHON_FOR_VENV=/path/to/python takes that one.
set -euo pipefail

suits() {
  "$1" -c 'import sys; raise SystemExit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
    >/dev/null 2>&1
}

for candidate in ${PYTHON_FOR_VENV:-python3 python3.13 python3.12 python3.11}; do
  if found=$(command -v "$candidate") && suits "$found"; then
    echo "$found"
    exit 0
  fi
done

seen=$(python3 --version 2>&1 || true)
echo "This project needs Python 3.11, 3.12 or 3.13; found: ${seen:-none}." >&2
echo "Install one, on Debian or Ubuntu: apt-get install python3 python3-venv" >&2
exit 1
