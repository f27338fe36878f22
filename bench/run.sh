#!/usr/bin/env bash
# Runs all benchmarks, short by default; each prints ratios, medians, spreads and the machine.
#   bench/run.sh           a few minutes
#   bench/run.sh --long    more and longer rounds, for numbers to keep
# Needs a release build. Results are also kept in bench/results.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd .. && pwd)
python=$root/.venv/bin/python
if [ ! -x "$python" ] || ! "$python" -c 'import pymysql' 2>/dev/null; then
  python3 -m venv "$root/.venv"
  "$root/.venv/bin/pip" install --quiet --disable-pip-version-check "$(grep '^PyMySQL==' "$root/tests/clients/requirements.txt")"
fi
create=() api=() selects=() connects=() backups=() shards=() growth=(--rounds 1 --seconds 10)
case "${1:-}" in
  --long) backups=(--megabytes 1024) shards=(--rounds 11 --seconds 8) growth=(--rounds 5 --seconds 30) create=(--rounds 31) api=(--rounds 5 --seconds 8) selects=(--rounds 7 --seconds 8) connects=(--rounds 7 --seconds 8) ;;
  "") ;;
  *) echo "usage: $0 [--long]" >&2; exit 2 ;;
esac
mkdir -p results
export PYTHONDONTWRITEBYTECODE=1
status=0
# run NAME COMMAND…: one that fails does not keep the others from running.
run() {
  echo "== $1"
  "${@:2}" 2>&1 | tee "results/$1.txt" || status=1
}
run create_to_query "$python" create_to_query.py "${create[@]}"
run memory "$python" memory.py
run idle_instances "$python" idle_instances.py
run backup "$python" backup.py "${backups[@]}"
run replay "$python" replay.py
run api_rate "$python" api_rate.py "${api[@]}"
(cd "$root" && cargo build --quiet --release -p openpeta-gateway --examples)
run point_select ./sysbench.sh "${selects[@]}"
run read_write ./sysbench.sh --workload oltp_read_write --threads 16 "${selects[@]}"
run sharding "$python" sharding.py "${shards[@]}"
run growth "$python" growth.py "${growth[@]}"
run connect ./connect.sh "${connects[@]}"
run large_result ./large_result.sh
run idle_sessions ./idle_sessions.sh --sessions 2000
exit $status
