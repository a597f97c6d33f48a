# `nearmetal gpus` lists what the server offers, through the same library that programs get.
. "$(dirname "$0")/lib.sh"
start_server

table=$("$BIN/nearmetal" gpus)
contains "the table has a heading" "UUID" "$table"
json=$("$BIN/nearmetal" gpus -o json)
python3 - "$json" <<'END'
import json, re, sys
gpus = json.loads(sys.argv[1])
assert gpus and gpus[0]["index"] == 0, gpus
assert re.fullmatch(r"GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", gpus[0]["uuid"]), gpus
assert gpus[0]["memory_bytes"] > 1 << 20 and gpus[0]["multiprocessors"] > 0, gpus
END
echo "ok: the JSON is complete"
equal "table and JSON agree" 1 "$(echo "$table" | grep -c "$(python3 -c 'import json,sys; print(json.loads(sys.argv[1])[0]["uuid"])' "$json")")"
CUDA_VISIBLE_DEVICES="" "$BIN/nearmetal" gpus -o json | grep -q '"index": 0' || fail "a choice made here hides the list"
echo "ok: a choice made here does not hide the server's list"

status=0
out=$("$BIN/nearmetal" gpus --server unix:/nonexistent/s 2>&1) || status=$?
equal "no server: status" 1 $status
contains "no server: a sentence" "unix:/nonexistent/s" "$out"
