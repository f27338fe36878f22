#!/usr/bin/env bash
# Reads over three nodes against one server with the same rows, in turns: the 22 queries of TPC-H, counts, sums and groups of all
# rows, a join by the distribution key. The scale is the first argument, of which 1000 make the benchmark's own; 100 is SF 0.1.
# Goes through the coordinator, not the gateway. Compares the results as well.
set -euo pipefail
cd "$(dirname "$0")/.."
OPENPETA_TPCH=${1:-100} OPENPETA_READS=0 cargo test --release -p openpeta-coordinator --test main -- --nocapture reads_over 2>&1 |
    grep -E '^(query|geometric|count|sums|groups|join)|panicked|test result'
