# A pool on paper: making one, inviting, listing, revoking, and what is not done twice.
. "$(dirname "$0")/lib.sh"
export NEARMETAL_POOL_DIR=$SCRATCH/pool
nm() { "$BIN/nearmetal" pool "$@"; }

contains "init says what comes next" "nearmetal serve --listen tls:0.0.0.0:7811" "$(nm init --address gpu1.example)"
equal "the key is for its owner" 600 "$(stat -c %a "$NEARMETAL_POOL_DIR/ca.key")"
before=$(sha256sum <"$NEARMETAL_POOL_DIR/ca.key")
contains "a pool is not made over another" "There is a pool in $NEARMETAL_POOL_DIR already" "$(nm init 2>&1 || true)"
rm "$NEARMETAL_POOL_DIR/pool.toml"
contains "nor over what is left of one" "ca.key is there already and is not overwritten" "$(nm init 2>&1 || true)"
equal "the key is what it was" "$before" "$(sha256sum <"$NEARMETAL_POOL_DIR/ca.key")"
rm -rf "$NEARMETAL_POOL_DIR"
nm init --address gpu1.example --host-lifetime 7d >/dev/null

token=$(nm invite --host gpu2 2>"$SCRATCH/said")
contains "a token names where to call" "nearmetal-1.gpu1.example:7811." "$token"
contains "and what to do is told beside it" "For host gpu2, until" "$(cat "$SCRATCH/said")"
secret=${token##*.}
if grep -rq "$secret" "$NEARMETAL_POOL_DIR"; then fail "the token is kept"; fi
echo "ok: the token is not kept"
contains "a slip is noticed before anybody is called" "This is not a whole token" "$(nm join --dir "$SCRATCH/x" "${token%?}" 2>&1 || true)"

python3 - "$(nm members -o json)" <<'PYTHON'
import datetime, json, sys
members = {(m["role"], m["state"]): m for m in json.loads(sys.argv[1])}
assert len(members) == 2, members
def hours(m):
    t = [datetime.datetime.strptime(m[k], "%Y-%m-%dT%H:%M:%SZ") for k in ("since", "until")]
    return (t[1] - t[0]).total_seconds() / 3600
assert hours(members["host", "valid"]) == 168 and hours(members["user", "valid"]) == 720, members
PYTHON
echo "ok: lifetimes are as they were asked for"
user=$(nm members -o json | python3 -c 'import json, sys; print(*[m["name"] for m in json.load(sys.stdin) if m["role"] == "user"])')
contains "revoking tells how many" "Revoked 1 certificate(s) of $user." "$(nm revoke "$user")"
contains "and that there is none left" "has no certificate that counts" "$(nm revoke "$user")"
contains "it shows" "revoked" "$(nm members | grep "^user")"
contains "a name that nobody has" "has issued no certificate to \"nobody\"" "$(nm revoke nobody 2>&1 || true)"
for event in join invite revoke; do contains "the audit log" "\"event\":\"$event\"" "$(cat "$NEARMETAL_POOL_DIR/audit.jsonl")"; done
