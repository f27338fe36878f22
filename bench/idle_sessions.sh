#!/bin/bash
# What idle sessions cost: the gateway's memory for each, and the rate of one busy session beside
# them in proportion to the same session alone, in turns.
set -euo pipefail

usage() {
    cat <<'TEXT'
idle_sessions.sh [--sessions N] [--rounds N] [--seconds N] [--io auto|io_uring|epoll]

Needs the example relay_one of the gateway crate, built with --release, and the Python of run.sh.
A session takes two open files of the gateway.
TEXT
}

here=$(cd "$(dirname "$0")/.." && pwd)
gateway=${CARGO_TARGET_DIR:-$here/target}/release/examples/relay_one
# For sides.sh.
# shellcheck disable=SC2034
haproxy=haproxy mariadbd=mariadbd
count=9000
rounds=5
seconds=4
io=auto
while [ $# -gt 0 ]; do
    case $1 in
        --sessions) count=$2 ;;
        --rounds) rounds=$2 ;;
        --seconds) seconds=$2 ;;
        --io) io=$2 ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift 2
done

. "$here/bench/sides.sh"
sessions() { "$here/.venv/bin/python" "$here/bench/sessions.py" "$@"; }
resident() { awk '/^VmRSS/ { print $2 }' "/proc/$gateway_pid/status"; }

ulimit -n "$(ulimit -H -n)"
start_node shop "max_connections=$((count + 100))"
sysbench oltp_point_select --mysql-socket="$work/mysqld.sock" --mysql-user=root --mysql-db=shop \
    --tables=1 --table-size=10000 prepare >/dev/null
start_gateway 0 "$io"

# Point selects a second of two sessions: no lone session is polled for, so both cases are alike.
rate() {
    sysbench oltp_point_select --mysql-host=127.0.0.1 --mysql-port="$gateway_port" --mysql-db=shop \
        --mysql-user=bench --mysql-password=bench --mysql-ssl=off --tables=1 --table-size=10000 \
        --db-ps-mode=disable --threads=2 --time="$seconds" run | awk '/transactions:/ { gsub(/\(/, "", $3); print $3 }'
}
hold() {
    rm -f "$work/held" "$work/hold"
    mkfifo "$work/hold"
    sessions hold "$gateway_port" "$count" <"$work/hold" >"$work/held" &
    holder=$!
    exec 8>"$work/hold"
    until grep -q ready "$work/held" 2>/dev/null; do
        kill -0 "$holder" 2>/dev/null || { echo "the sessions did not come" >&2; exit 1; }
        sleep 0.05
    done
}
let_go() {
    exec 8>&-
    wait "$holder"
}

rate >/dev/null
: >"$work/rounds"
for _ in $(seq "$rounds"); do
    before=$(resident)
    alone=$(rate)
    hold
    after=$(resident)
    beside=$(rate)
    let_go
    echo "$alone $beside $(((after - before) * 1024 / count))" >>"$work/rounds"
done
awk -v count="$count" '
    { ratio[NR] = $2 / $1; rates = rates " " $2 "/" $1; if (NR == 1) bytes = $3 }
    END {
        for (i = 1; i <= NR; i++)
            for (j = i + 1; j <= NR; j++)
                if (ratio[j] < ratio[i]) { t = ratio[i]; ratio[i] = ratio[j]; ratio[j] = t }
        median = NR % 2 ? ratio[(NR + 1) / 2] : (ratio[NR / 2] + ratio[NR / 2 + 1]) / 2
        printf "%d idle sessions: %d bytes of the gateway each; busy ones beside them %.2f [%.2f-%.2f] times as fast as alone; per second:%s\n",
            count, bytes, median, ratio[1], ratio[NR], rates
    }' "$work/rounds"
