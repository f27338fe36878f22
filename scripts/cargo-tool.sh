#!/usr/bin/env bash
# Installs one of the cargo tools that the checks use, unless it is there already.
# Usage: cargo-tool.sh cargo-deny|cargo-nextest
set -euo pipefail

case "${1:-}" in
  cargo-deny) version=0.20.2 ;;
  cargo-nextest) version=0.9.143 ;;
  *) echo "usage: $0 cargo-deny|cargo-nextest" >&2; exit 64 ;;
esac

if ! command -v "$1" >/dev/null 2>&1 && [ ! -x "${CARGO_HOME:-$HOME/.cargo}/bin/$1" ]; then
  cargo install --locked "$1@$version"
fi
