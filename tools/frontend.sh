#!/usr/bin/env bash
# Build the Plans page into the package, or check that what is in the package is its build.
set -euo pipefail
cd "$(dirname "$0")/../frontend"

if ! command -v npm >/dev/null || ! node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)'; then
  echo "The Plans page is built with Node.js 20.19 or newer and its npm; install them first." >&2
  echo "Without them the package works as it is: the build is in planner_provider/web/static." >&2
  exit 1
fi

built=../planner_provider/web/static
npm ci --loglevel=error
npm run --silent types
npm test --silent -- --reporter=dot

case ${1:-} in
  build)
    npm run --silent build
    ;;
  check)
    fresh=$(mktemp -d)
    trap 'rm -rf "$fresh"' EXIT
    npm run --silent build -- --outDir "$fresh/static" --logLevel warn
    if ! diff -rq "$fresh/static" "$built"; then
      echo "planner_provider/web/static is not what frontend/ gives: run 'make frontend'." >&2
      exit 1
    fi
    ;;
  *)
    echo "usage: tools/frontend.sh build | check" >&2
    exit 2
    ;;
esac
