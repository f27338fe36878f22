#!/bin/bash
# A sysbench workload through the gateway and through HAProxy in TCP mode, in turns over the same
# node's unix socket.
#
# Prints per number of connections the median, lowest and highest ratio of the rounds (gateway to
# HAProxy; above 1 the gateway is faster), the processor time each spends on a transaction (with
# oltp_point_select that is a query) and the 99th percentile of its time. Judge by the ratios; single rates say little on a machine that does other things too.
set -euo pipefail

usage() {
    cat <<'TEXT'
sysbench.sh [--gateway PROGRAM] [--haproxy PROGRAM] [--mariadbd PROGRAM]
            [--rounds N] [--seconds N] [--threads "1 16 64"] [--ps-mode disable|auto]
            [--busy-poll MICROSECONDS] [--io auto|io_uring|epoll] [--tls]
            [--workload oltp_point_select|oltp_read_write|...]

--gateway   the example relay_one of the gateway crate, built with --release
--rounds    interleaved rounds per number of connections (3)
--seconds   length of one measurement (4)
--busy-poll how long the gateway looks for events before it sleeps while it has one session
            (default: 200, as the service; 0 for never)
--io        how the gateway moves bytes (default: its own choice)
--workload  one of sysbench's (oltp_point_select)
--tls       clients use TLS: with the gateway, or, through HAProxy, with the node, since HAProxy cannot be an end
            of TLS that begins in the midst of MySQL's protocol
--ps-mode   disable for the text protocol (default), auto for prepared statements
TEXT
}

here=$(cd "$(dirname "$0")/.." && pwd)
gateway=${CARGO_TARGET_DIR:-$here/target}/release/examples/relay_one
haproxy=haproxy
mariadbd=mariadbd
rounds=3
seconds=4
threads="1 16 64"
ps_mode=disable
busy_poll=200
workload=oltp_point_select
io=auto
tls=off
while [ $# -gt 0 ]; do
    case $1 in
        --tls) tls=on; shift; continue ;;
        --gateway) gateway=$2 ;;
        --haproxy) haproxy=$2 ;;
        --mariadbd) mariadbd=$2 ;;
        --rounds) rounds=$2 ;;
        --seconds) seconds=$2 ;;
        --threads) threads=$2 ;;
        --ps-mode) ps_mode=$2 ;;
        --io) io=$2 ;;
        --workload) workload=$2 ;;
        --busy-poll) busy_poll=$2 ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift 2
done
[ -x "$gateway" ] || {
    echo "no gateway program at $gateway; build it with:" >&2
    echo "  cargo build --release -p openpeta-gateway --example relay_one" >&2
    exit 1
}

. "$here/bench/sides.sh"

# One measurement: port, pid, connections. Prints transactions a second, microseconds of processor
# time a transaction, and the 99th percentile of its time in milliseconds.
measure() {
    local before after result
    before=$(cpu_time "$2")
    result=$(sysbench "$workload" --mysql-host=127.0.0.1 --mysql-port="$1" \
        --mysql-user=bench --mysql-password=bench --tables=1 --table-size=100000 \
        --mysql-ssl="$tls" --percentile=99 --db-ps-mode="$ps_mode" --threads="$3" --time="$seconds" run |
        awk '/transactions:/ { gsub(/\(/, "", $3); done = $2 " " $3 } /99th percentile:/ { print done, $3 }')
    after=$(cpu_time "$2")
    awk -v before="$before" -v after="$after" \
        '{ printf "%.1f %.1f %s\n", $2, (after - before) / $1 / 1000, $3 }' <<<"$result"
}

secrets=()
node_tls=
if [ "$tls" = on ]; then
    make_certificate
    # sysbench takes its certificate from the directory that it runs in.
    cd "$work"
    secrets=("$work/client-cert.pem" "$work/client-key.pem")
    node_tls="ssl_cert=${secrets[0]}
ssl_key=${secrets[1]}
ssl_ca=${secrets[0]}"
fi
start_node sbtest "$node_tls"
sysbench "$workload" --mysql-socket="$work/mysqld.sock" --mysql-user=root \
    --tables=1 --table-size=100000 prepare >/dev/null
start_haproxy
start_gateway "$busy_poll" "$io" "${secrets[@]}"
for _ in $(seq 100); do
    mariadb --no-defaults -h 127.0.0.1 -P "$haproxy_port" -u bench -pbench -e 'DO 1' \
        >/dev/null 2>&1 && break
    sleep 0.05
done

for connections in $threads; do
    : >"$work/rounds"
    for round in $(seq "$rounds"); do
        # Whoever goes first meets the colder machine, so they take turns.
        if [ $((round % 2)) = 1 ]; then
            h=$(measure "$haproxy_port" "$haproxy_pid" "$connections")
            g=$(measure "$gateway_port" "$gateway_pid" "$connections")
        else
            g=$(measure "$gateway_port" "$gateway_pid" "$connections")
            h=$(measure "$haproxy_port" "$haproxy_pid" "$connections")
        fi
        echo "$g $h" >>"$work/rounds"
    done
    awk -v connections="$connections" '
        # The median; the values are in order afterwards.
        function middle_of(values,   i, j, t) {
            for (i = 1; i <= NR; i++)
                for (j = i + 1; j <= NR; j++)
                    if (values[j] < values[i]) { t = values[i]; values[i] = values[j]; values[j] = t }
            return NR % 2 ? values[(NR + 1) / 2] : (values[NR / 2] + values[NR / 2 + 1]) / 2
        }
        { ratio[NR] = $1 / $4; rates = rates sprintf(" %d/%d", $1, $4); gus += $2; hus += $5; gp[NR] = $3; hp[NR] = $6 }
        END {
            median = middle_of(ratio)
            printf "%3d connections: %.2f [%.2f-%.2f] times HAProxy", \
                connections, median, ratio[1], ratio[NR]
            printf "; %.1f against %.1f us of processor; 99%% within %.2f against %.2f ms; per second:%s\n", \
                gus / NR, hus / NR, middle_of(gp), middle_of(hp), rates
        }' "$work/rounds"
done
