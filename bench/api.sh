#!/bin/bash
# Signed calls a second against a service with many instances, over HTTP and HTTPS.
#
# Calls are signed in advance: wrk only sends them. The service and wrk share the machine, so a
# fixed answer without any of the API's work (/healthz) is measured in the same rounds as the
# ceiling. Prints the median, lowest and highest rate of the rounds, and the worst p99.
set -euo pipefail

usage() {
    cat <<'TEXT'
api.sh [--openpeta PROGRAM] [--load PROGRAM] [--instances N] [--rounds N] [--seconds N]
       [--connections N]

--openpeta   the service, built with --release
--load       the example api_load of the server crate, built with --release
--instances  instances of the tenant (1000)
--rounds     rounds (3)
--seconds    length of one measurement (4)
TEXT
}

here=$(cd "$(dirname "$0")/.." && pwd)
target=${CARGO_TARGET_DIR:-$here/target}
openpeta=$target/release/openpeta
load=$target/release/examples/api_load
instances=1000
rounds=3
seconds=4
connections=16
while [ $# -gt 0 ]; do
    case $1 in
        --openpeta) openpeta=$2 ;;
        --load) load=$2 ;;
        --instances) instances=$2 ;;
        --rounds) rounds=$2 ;;
        --seconds) seconds=$2 ;;
        --connections) connections=$2 ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift 2
done

dir=$(mktemp -d)
service=
stop() {
    [ -z "$service" ] || { kill "$service" && wait "$service" || true; }
    service=
}
trap 'stop; rm -rf "$dir"' EXIT

start() {
    # Fewer nodes than none cannot be kept ready; the access log goes where logs go.
    "$openpeta" serve --data-dir "$dir/data" --config "$dir/openpeta.toml" \
        --http-listen 127.0.0.1:0 --https-listen 127.0.0.1:0 > "$dir/out" 2> "$dir/log" &
    service=$!
    until grep -q '^ready' "$dir/out"; do
        kill -0 "$service" || { cat "$dir/log" >&2; exit 1; }
        sleep 0.05
    done
    http=$(sed -n 's/^ready http=\([^ ]*\) .*/\1/p' "$dir/out")
    https=$(sed -n 's/^ready .* https=\(.*\)/\1/p' "$dir/out")
}

cat > "$dir/openpeta.toml" <<'TOML'
[nodes]
spare = 0
TOML
cat > "$dir/send.lua" <<'LUA'
local count = 0
function setup(thread)
    thread:set("number", count)
    count = count + 1
end
function init(args)
    lines = io.lines(args[1] .. "." .. number)
end
function request()
    local query = lines()
    if query == nil then query = "" end
    return "GET /?" .. query .. " HTTP/1.1\r\nHost: localhost\r\n\r\n"
end
function done(summary, latency, requests)
    local e = summary.errors
    print(string.format("RESULT %d %d %d", summary.requests * 1e6 / summary.duration,
        latency:percentile(99), e.status + e.connect + e.read + e.write + e.timeout))
end
LUA

start
stop
"$load" populate "$dir/data" "$instances"

measure() { # name, url, action
    local name=$1 url=$2 action=$3 sent
    if [ "$action" = health ]; then
        sent=$(wrk -t2 -c"$connections" -d"$seconds" --latency "$url/healthz" |
            awk '/Requests\/sec/ { rate = $2 } /99%/ { p99 = $2 } END { print int(rate), p99, 0 }')
        echo "$name $sent" >> "$dir/results"
        return
    fi
    sent=$(wrk -t2 -c"$connections" -d"$seconds" -s "$dir/send.lua" "$url" -- "$dir/calls" |
        awk '/^RESULT/ { print $2, $3 "us", $4 }')
    echo "$name $sent" >> "$dir/results"
}

for round in $(seq "$rounds"); do
    for action in DescribeInstances DescribeInstanceInfo; do
        for scheme in http https; do
            # As many as can be sent; the rest of the file is not read.
            calls=$((seconds * 40000))
            "$load" sign "$dir/data" "$action" "$calls" | split -n r/2 -d -a1 - "$dir/calls."
            start
            measure "$action/$scheme" "${!scheme}" "$action"
            stop
        done
    done
    start
    measure "healthz/http" "$http" health
    stop
done

echo "calls a second: median (lowest-highest), worst p99, calls that failed"
sort -k1,1 -k2,2n "$dir/results" | awk '
    { n[$1]++; rate[$1, n[$1]] = $2; failed[$1] += $4; if ($3 + 0 > p[$1] + 0) p[$1] = $3 }
    END {
        for (name in n)
            printf "%-26s %7d (%d-%d)  p99 %s  failed %d\n", name, rate[name, int((n[name] + 1) / 2)],
                rate[name, 1], rate[name, n[name]], p[name], failed[name]
    }' | sort
