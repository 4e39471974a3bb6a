#!/usr/bin/env bash
# Write requirements.lock (development, all extras) and deploy/requirements.lock (the image of
# docker-compose.yml) for Python 3.11 to 3.13. Pins are kept where they still fit; UPGRADE=1 takes
# the newest versions.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ -x .venv/bin/uv ]]; then
  uv=.venv/bin/uv
elif ! uv=$(command -v uv); then
  echo "uv is missing. Install it: .venv/bin/python -m pip install uv" >&2
  exit 1
fi

compile() {
  "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' \
    ${UPGRADE:+--upgrade} "$@"
}

compile --extra dev pyproject.toml --output-file requirements.lock
compile pyproject.toml deploy/requirements.in --constraint requirements.lock \
  --output-file deploy/requirements.lock
echo "requirements.lock: $(grep -c == requirements.lock) packages"
echo "deploy/requirements.lock: $(grep -c == deploy/requirements.lock) packages"
