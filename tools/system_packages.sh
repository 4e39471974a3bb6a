#!/usr/bin/env bash
# Install the system packages that tests need and that are missing. Services are not started.
set -euo pipefail

has_postgresql() {
  command -v postgres >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null
}

missing=()
command -v git >/dev/null || missing+=(git)
command -v promtool >/dev/null || missing+=(prometheus)
command -v prometheus-alertmanager >/dev/null || missing+=(prometheus-alertmanager)
has_postgresql || missing+=(postgresql)
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || missing+=(chromium)
[[ ${#missing[@]} -eq 0 ]] && exit 0

if ! command -v apt-get >/dev/null; then
  echo "The tests need these programs; please install them: ${missing[*]}" >&2
  exit 1
fi
if [[ $(id -u) -eq 0 ]]; then
  as_root=()
elif sudo -n true 2>/dev/null; then
  as_root=(sudo -n)
else
  echo "The tests need system packages: run 'sudo apt-get install ${missing[*]}', then again." >&2
  exit 1
fi

# Debian starts services when it installs them. Tests start their own, on ports of their own; a
# policy that says no is put in place for the time of the installation, unless there is one.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
  trap '"${as_root[@]}" rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod 755 "$policy"
fi
echo "installing ${missing[*]}"
install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y -qq)
"${install[@]}" update >/dev/null
"${install[@]}" install --no-install-recommends "${missing[@]}" >/dev/null
