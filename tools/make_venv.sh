#!/usr/bin/env bash
# Make .venv: exactly what requirements.lock names, with hashes, then this project on top.
# Run through `make env`, which skips it while nothing has changed.
set -euo pipefail
cd "$(dirname "$0")/.."

stamp=.venv/.installed
python=.venv/bin/python
export PIP_DISABLE_PIP_VERSION_CHECK=1

# A copied or half-made environment, or one whose Python was removed, is made anew.
if ! "$python" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
  base=$(tools/find_python.sh)
  if ! "$base" -c 'import venv, ensurepip' >/dev/null 2>&1; then
    version=$("$base" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    echo "$base cannot make environments: its venv module is missing." >&2
    echo "Install it, on Debian or Ubuntu: apt-get install python$version-venv" >&2
    exit 1
  fi
  echo "making .venv with $("$base" --version)"
  rm -rf .venv
  "$base" -m venv .venv
fi
rm -f "$stamp"
"$python" -m pip --version >/dev/null 2>&1 || "$python" -m ensurepip --upgrade >/dev/null

# The lock is complete, so pip needs no resolver: that saves most of the time.
echo "installing what requirements.lock names"
"$python" -m pip install -qq --no-deps --require-hashes -r requirements.lock
"$python" -m pip install -qq --no-deps --no-build-isolation --editable .
"$python" -m pip check --quiet || {
  echo "The installed packages do not fit together: see above. Is requirements.lock out of date?" >&2
  echo "make lock brings it up to date; make distclean starts over." >&2
  exit 1
}
touch "$stamp"
