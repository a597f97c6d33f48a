# Two hosts, each a network namespace with an address of its own: the newcomer joins over the network and computes there.
. "$(dirname "$0")/lib.sh"
here=nm-here-$$ there=nm-there-$$
command -v ip >/dev/null || skip "there is no ip(8)"
ip netns add $here 2>/dev/null || skip "network namespaces need root and a kernel that has them"
leave() { ip netns del $here 2>/dev/null; ip netns del $there 2>/dev/null; finish; }
trap leave EXIT
ip netns add $there
ip link add nm0 netns $here type veth peer name nm0 netns $there 2>/dev/null || skip "the kernel has no veth"
ip -n $here addr add 10.77.0.1/24 dev nm0
ip -n $there addr add 10.77.0.2/24 dev nm0
for space in $here $there; do ip -n $space link set nm0 up; ip -n $space link set lo up; done

server=$SCRATCH/server-pool desk=$SCRATCH/desk-pool
"$BIN/nearmetal" pool init --dir "$server" --address 10.77.0.1:7811 >/dev/null
# exec, so that what is killed is the server itself.
(exec ip netns exec $here "$BIN/nearmetal" serve --listen tcp:0.0.0.0:7811 --driver soft --pool "$server" 2>"$SCRATCH/server.log") &
SERVER_PID=$!
for _ in $(seq 300); do grep -q "Listening on tls:0.0.0.0:7811" "$SCRATCH/server.log" && break; kill -0 $SERVER_PID || fail "the server did not start"; sleep 0.1; done
in_there() { ip netns exec $there env NEARMETAL_POOL_DIR="$desk" NEARMETAL_SERVER=tcp:10.77.0.1:7811 "$@"; }

contains "before it joins there is nothing" "There is no pool in $desk" "$(in_there "$BIN/nearmetal" run -- true 2>&1 || true)"
token=$("$BIN/nearmetal" pool invite --dir "$server" --user bob 2>/dev/null)
contains "it joins over the network" "as user bob" "$(in_there "$BIN/nearmetal" pool join - <<<"$token")"
equal "a program computes there" 0 "$(in_there "$BIN/nearmetal" run -- "$BUILD/tests/programs/nm_demo_program" >/dev/null && echo 0 || echo 1)"
contains "the server knows from where" '"who":"user bob","from":"tcp:10.77.0.2:' "$(cat "$server/audit.jsonl")"
