#!/bin/bash
# Clients that connect, log in, run SELECT 1 and go: through the gateway, through HAProxy in TCP
# mode with the node's unix socket behind it, and to the node directly over TCP, in turns.
#
# Prints the median, lowest and highest ratio of the rounds to the direct way (above 1: more clients
# a second), the rates, medians of the times from connect to result, and the processor time that
# the node and whatever stands before it spend on a client.
set -euo pipefail

usage() {
    cat <<'TEXT'
connect.sh [--examples DIR] [--haproxy PROGRAM] [--mariadbd PROGRAM]
           [--rounds N] [--seconds N] [--threads N] [--io auto|io_uring|epoll]

--examples  where relay_one and connect_rate of the gateway crate are, built with --release
--rounds    interleaved rounds (5)
--seconds   length of one measurement (4)
--threads   clients at a time (16)
--io        how the gateway moves bytes (default: its own choice)
TEXT
}

here=$(cd "$(dirname "$0")/.." && pwd)
examples=${CARGO_TARGET_DIR:-$here/target}/release/examples
haproxy=haproxy
mariadbd=mariadbd
rounds=5
seconds=4
threads=16
io=auto
while [ $# -gt 0 ]; do
    case $1 in
        --examples) examples=$2 ;;
        --haproxy) haproxy=$2 ;;
        --mariadbd) mariadbd=$2 ;;
        --rounds) rounds=$2 ;;
        --seconds) seconds=$2 ;;
        --threads) threads=$2 ;;
        --io) io=$2 ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift 2
done
[ -x "$examples/connect_rate" ] || {
    echo "no programs in $examples; build them with:" >&2
    echo "  cargo build --release -p openpeta-gateway --examples" >&2
    exit 1
}

gateway=$examples/relay_one
. "$here/bench/sides.sh"

# One measurement: port, pids. Prints clients a second, median and 99th percentile of the time,
# microseconds of processor time a client.
measure() {
    local before after result port=$1
    shift
    before=$(cpu_time "$@")
    result=$("$examples/connect_rate" "127.0.0.1:$port" bench bench shop "$threads" "$seconds")
    after=$(cpu_time "$@")
    awk -v ns=$((after - before)) '{ printf "%d %d %d %.1f\n", $1, $2, $3, ns / $4 / 1000 }' <<<"$result"
}

start_node shop
start_haproxy
start_gateway 200 "$io"
for port in "$haproxy_port" "$gateway_port"; do
    for _ in $(seq 100); do
        "$examples/connect_rate" "127.0.0.1:$port" bench bench shop 1 0.1 >/dev/null 2>&1 && break
        sleep 0.05
    done
done

: >"$work/rounds"
for round in $(seq "$rounds"); do
    # Whoever goes first meets the colder machine, so they take turns.
    case $((round % 3)) in
        0) order="direct haproxy gateway" ;;
        1) order="gateway direct haproxy" ;;
        2) order="haproxy gateway direct" ;;
    esac
    for who in $order; do
        case $who in
            direct) d=$(measure "$node_port" "$node_pid") ;;
            haproxy) h=$(measure "$haproxy_port" "$node_pid" "$haproxy_pid") ;;
            gateway) g=$(measure "$gateway_port" "$node_pid" "$gateway_pid") ;;
        esac
    done
    echo "$d $h $g" >>"$work/rounds"
done

awk '
    function sort(values,   i, j, t) {
        for (i = 1; i <= NR; i++)
            for (j = i + 1; j <= NR; j++)
                if (values[j] < values[i]) { t = values[i]; values[i] = values[j]; values[j] = t }
    }
    function median(values) {
        return NR % 2 ? values[(NR + 1) / 2] : (values[NR / 2] + values[NR / 2 + 1]) / 2
    }
    function show(name, ratio, rates, p50, p99, cpu) {
        sort(ratio); sort(p50); sort(p99); sort(cpu)
        printf "%-8s %.2f [%.2f-%.2f] times direct; median %d us, 99%% within %d us; %d us of processor; per second:%s\n",
            name, median(ratio), ratio[1], ratio[NR], median(p50), median(p99), median(cpu), rates
    }
    {
        dr[NR] = 1; hr[NR] = $5 / $1; gr[NR] = $9 / $1
        d = d " " $1; h = h " " $5; g = g " " $9
        d50[NR] = $2; d99[NR] = $3; h50[NR] = $6; h99[NR] = $7; g50[NR] = $10; g99[NR] = $11
        dc[NR] = $4; hc[NR] = $8; gc[NR] = $12
    }
    END {
        show("direct", dr, d, d50, d99, dc)
        show("haproxy", hr, h, h50, h99, hc)
        show("gateway", gr, g, g50, g99, gc)
    }' "$work/rounds"
exec 9>&-
sleep 0.2
tail -n +2 "$work/gateway.out"
