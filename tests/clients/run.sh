#!/usr/bin/env bash
# Runs the vendor's SDKs, MySQL drivers and command-line clients against the real binary.
# Arguments go to pytest, e.g. `run.sh faults/test_whitelist.py -k removed`.
#
# What it installs from PyPI and npm lies in .venv and tests/clients/node_modules and is kept
# until the list of it changes.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
venv=$root/.venv

# fresh STAMP FILE: whether the installation marked by STAMP was made from FILE as it is now.
fresh() { [ -f "$1" ] && cmp -s "$1" "$2"; }

if ! fresh "$venv/.openpeta-requirements" "$here/requirements.txt"; then
  [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
  cp "$here/requirements.txt" "$venv/.openpeta-requirements"
fi
if ! fresh "$here/node_modules/.openpeta-lock" "$here/package-lock.json"; then
  (cd "$here" && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error)
  cp "$here/package-lock.json" "$here/node_modules/.openpeta-lock"
fi

# Fail points exist in the debug build only.
if [ -z "${OPENPETA_DEBUG_BIN:-}" ]; then
  (cd "$root" && cargo build --quiet --bin openpeta)
fi
# The gateway alone, for what is compared with a node.
(cd "$root" && cargo build --quiet --workspace --example relay_one)

cd "$here"
# Proxies of the environment are not for addresses of this machine.
export NO_PROXY='*' no_proxy='*' PYTHONDONTWRITEBYTECODE=1
unset OPENPETA_DATA_DIR OPENPETA_PROFILE OPENPETA_FAIL_POINT MYSQL_HOST MYSQL_TCP_PORT MYSQL_PWD
# Whole files side by side: nodes are waited for, so one at a time leaves processors idle.
exec "$venv/bin/python" -m pytest --numprocesses 2 --dist loadfile "$@"
