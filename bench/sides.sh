# The node, HAProxy and the gateway that benchmarks of sessions compare. To be sourced, with
# $mariadbd, $haproxy and $gateway (the example relay_one) set. All ends with the script.
# shellcheck shell=bash disable=SC2154

work=$(mktemp -d /tmp/openpeta-bench.XXXXXX)
pids=()
clean_up() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap clean_up EXIT

# A port that is free now.
free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# A node with the account bench, which may do everything in one database. Arguments: the database, more
# lines for its configuration.
start_node() {
    local user database=$1
    user=$(id -un)
    if [ "$user" = root ]; then user=mysql; chown mysql "$work"; fi
    chmod 711 "$work"
    node_port=$(free_port)
    cat >"$work/node.cnf" <<CNF
[mariadbd]
user=$user
datadir=$work/data
socket=$work/mysqld.sock
pid_file=$work/mysqld.pid
log_error=$work/error.log
port=$node_port
bind_address=127.0.0.1
skip-name-resolve
performance_schema=OFF
innodb_buffer_pool_size=128M
max_connections=400
back_log=400
query_cache_type=OFF
proxy_protocol_networks=localhost
${2:-}
CNF
    mariadb-install-db --defaults-file="$work/node.cnf" --skip-test-db \
        --auth-root-authentication-method=normal >/dev/null
    "$mariadbd" --defaults-file="$work/node.cnf" >/dev/null 2>&1 &
    node_pid=$!
    pids+=("$node_pid")
    for _ in $(seq 300); do
        mariadb-admin --no-defaults -S "$work/mysqld.sock" -u root ping >/dev/null 2>&1 && break
        sleep 0.1
    done
    mariadb --no-defaults -S "$work/mysqld.sock" -u root -e "CREATE DATABASE $database;
        CREATE USER bench@'%' IDENTIFIED BY 'bench'; GRANT ALL ON $database.* TO bench@'%'"
}

# HAProxy in TCP mode, with the node's unix socket behind it.
start_haproxy() {
    haproxy_port=$(free_port)
    # It may have dropped its rights before it connects to the socket.
    cat >"$work/haproxy.cfg" <<CFG
global
    maxconn 2000
    nbthread 2
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend front
    bind 127.0.0.1:$haproxy_port
    default_backend back
backend back
    server node unix@$work/mysqld.sock
CFG
    "$haproxy" -db -f "$work/haproxy.cfg" >/dev/null 2>&1 &
    haproxy_pid=$!
    pids+=("$haproxy_pid")
}

# A certificate for the sides that offer TLS, and what sysbench looks for in its directory.
make_certificate() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=bench \
        -keyout "$work/client-key.pem" -out "$work/client-cert.pem" 2>/dev/null
    cp "$work/client-cert.pem" "$work/cacert.pem"
    chmod 644 "$work"/*.pem
}

# The gateway. Arguments: microseconds of busy polling, how it moves bytes, and perhaps a certificate and
# its key.
start_gateway() {
    # It runs until its input ends, so its input is a pipe that this script keeps open.
    mkfifo "$work/input"
    "$gateway" 127.0.0.1:0 "$work/mysqld.sock" bench bench bench 2 "$1" "$2" 1000 32 "${@:3}" \
        <"$work/input" >"$work/gateway.out" &
    gateway_pid=$!
    pids+=("$gateway_pid")
    exec 9>"$work/input"
    for _ in $(seq 100); do
        [ -s "$work/gateway.out" ] && break
        sleep 0.05
    done
    gateway_port=$(head -1 "$work/gateway.out" | sed 's/.*://')
}

# Nanoseconds of processor time that processes have used, by their /proc/PID/stat: threads that
# have ended count, too.
cpu_time() {
    local pid
    for pid in "$@"; do cat "/proc/$pid/stat"; done |
        awk -v tick="$(getconf CLK_TCK)" '{ sum += $14 + $15 } END { printf "%.0f\n", sum * 1e9 / tick }'
}
