#!/bin/bash
# A result of 200 MB through the gateway and through HAProxy in TCP mode, in turns over the same
# node's unix socket. Prints the median, lowest and highest ratio of the rates (gateway to HAProxy; above 1
# the gateway is faster), and by how much the gateway's resident memory grew meanwhile.
set -euo pipefail

usage() {
    cat <<'TEXT'
large_result.sh [--rounds N] [--megabytes N] [--io auto|io_uring|epoll]

Needs the example relay_one of the gateway crate, built with --release, and the Python of run.sh.
TEXT
}

here=$(cd "$(dirname "$0")/.." && pwd)
gateway=${CARGO_TARGET_DIR:-$here/target}/release/examples/relay_one
# For sides.sh.
# shellcheck disable=SC2034
haproxy=haproxy mariadbd=mariadbd
rounds=5
megabytes=200
io=auto
while [ $# -gt 0 ]; do
    case $1 in
        --rounds) rounds=$2 ;;
        --megabytes) megabytes=$2 ;;
        --io) io=$2 ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift 2
done

. "$here/bench/sides.sh"
sessions() { "$here/.venv/bin/python" "$here/bench/sessions.py" "$@"; }

start_node shop
# A thousand bytes a row.
statement="SELECT seq, REPEAT('x', 1000) FROM seq_1_to_$((megabytes * 1000))"
start_haproxy
start_gateway 200 "$io"
length=$(sessions size "$gateway_port" "$statement")
[ "$length" = "$(sessions size "$node_port" "$statement")" ] || { echo "the answers differ" >&2; exit 1; }
echo "$length bytes"

: >"$work/rounds"
for round in $(seq "$rounds"); do
    order="haproxy gateway"
    if [ $((round % 2)) = 0 ]; then order="gateway haproxy"; fi
    for who in $order; do
        case $who in
            haproxy) h=$(sessions read "$haproxy_port" "$statement" "$length" "$haproxy_pid") ;;
            gateway) g=$(sessions read "$gateway_port" "$statement" "$length" "$gateway_pid") ;;
        esac
    done
    echo "$g $h" >>"$work/rounds"
done
awk '
    { ratio[NR] = $3 / $1; times = times " " $1 "/" $3; if ($2 > grown) grown = $2 }
    END {
        for (i = 1; i <= NR; i++)
            for (j = i + 1; j <= NR; j++)
                if (ratio[j] < ratio[i]) { t = ratio[i]; ratio[i] = ratio[j]; ratio[j] = t }
        median = NR % 2 ? ratio[(NR + 1) / 2] : (ratio[NR / 2] + ratio[NR / 2 + 1]) / 2
        printf "%.2f [%.2f-%.2f] times HAProxy; memory of the gateway grew by %d KiB at most; seconds:%s\n",
            median, ratio[1], ratio[NR], grown, times
    }' "$work/rounds"
