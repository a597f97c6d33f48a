# What the tests of `nearmetal bench` share: the fake workload, and short ways to run it.
. "$(dirname "$0")/../e2e/lib.sh"

FAKE=$BUILD/tests/bench/nm_fake_workload
bench() { "$BIN/nearmetal" bench "$@"; }
compare() { bench compare --workload "$FAKE" "$@"; }

# wrong STATUS PART COMMAND...: it ends so, and says so.
wrong() {
  local expected=$1 part=$2 status=0 out
  shift 2
  out=$(timeout 60 "$@" 2>&1 </dev/null) || status=$?
  [ "$status" = "$expected" ] || fail "${*: -3}: status $status instead of $expected: $out"
  contains "${*: -3}" "$part" "$out"
}

# What a JSON report says: json EXPRESSION <report, with the report as r.
json() { python3 -c "import json,sys; r=json.load(sys.stdin); print($1)"; }
