# Nothing that was measured is lost: not by Ctrl-C, not by a disk that is full, not by a second run with the same name.
. "$(dirname "$0")/lib.sh"

runs_in() { grep -c '"line":"run"' "$1" || true; }

# --- Ctrl-C shows what was measured so far
"$BIN/nearmetal" bench compare --workload "$FAKE" native 'same=env A=b' --program Alpha --pairs 9999 --save "$SCRATCH/c.jsonl" \
  >"$SCRATCH/out" 2>"$SCRATCH/err" &
pid=$!
for _ in $(seq 400); do
  [ -f "$SCRATCH/c.jsonl" ] && [ "$(runs_in "$SCRATCH/c.jsonl")" -ge 24 ] && break
  sleep 0.05
done
kill -INT $pid
status=0; wait $pid || status=$?
equal "Ctrl-C: its status" 130 $status
contains "Ctrl-C: the comparison so far" "against native" "$(cat "$SCRATCH/out")"
contains "Ctrl-C: said" "what was measured so far" "$(cat "$SCRATCH/err")"
[ "$(runs_in "$SCRATCH/c.jsonl")" -ge 24 ] || fail "the file lost runs"
equal "Ctrl-C: the file says that it is not all" '{"line":"end","complete":false}' "$(tail -1 "$SCRATCH/c.jsonl")"
contains "Ctrl-C: the file can be read" "against native" "$(bench report "$SCRATCH/c.jsonl" 2>&1)"

# --- Ctrl-C while a program hangs: ended with all that it started
"$BIN/nearmetal" bench run --workload "$FAKE" --program Alpha --program Beta --save "$SCRATCH/h.jsonl" >"$SCRATCH/out" 2>&1 &
wait $! || fail "a plain run: $(cat "$SCRATCH/out")"
FAKE_FAULT=hang "$BIN/nearmetal" bench run --workload "$FAKE" --program Alpha >"$SCRATCH/out" 2>&1 &
pid=$!
for _ in $(seq 200); do pgrep -P $pid >/dev/null && break; sleep 0.05; done
child=$(pgrep -P $pid) || fail "nothing was started"
kill -INT $pid
status=0; wait $pid || status=$?
equal "Ctrl-C while it hangs: its status" 130 $status
sleep 0.2
[ -z "$(ps -eo pgid=,stat=,args= | awk -v g="$child" '$1 == g && $2 !~ /Z/')" ] || fail "the group of $child is still there"
echo "ok: Ctrl-C while it hangs: nothing is left"

# --- a full disk
status=0
(ulimit -f 12; exec "$BIN/nearmetal" bench compare --workload "$FAKE" native 'same=env A=b' --program Alpha --pairs 30 \
  --save "$SCRATCH/full.jsonl") >"$SCRATCH/out" 2>"$SCRATCH/err" || status=$?
equal "full disk: its status" 1 $status
contains "full disk: a sentence" "Cannot write to $SCRATCH/full.jsonl: File too large. What it has is good" "$(cat "$SCRATCH/err")"
contains "full disk: the comparison so far" "against native" "$(cat "$SCRATCH/out")"
[ "$(runs_in "$SCRATCH/full.jsonl")" -ge 3 ] || fail "the file has no runs"
equal "full disk: the file ends with a whole line" '}' "$(tail -c 2 "$SCRATCH/full.jsonl" | head -1)"
bench report "$SCRATCH/full.jsonl" >/dev/null || fail "the file cannot be read"

# --- measurements are never overwritten
status=0
out=$(bench run --workload "$FAKE" --program Alpha --save "$SCRATCH/full.jsonl" 2>&1) || status=$?
equal "an existing file: its status" 1 $status
contains "an existing file" "exists already, and measurements are never overwritten" "$out"
status=0
out=$(bench run --workload "$FAKE" --program Alpha --save "$SCRATCH/no/where.jsonl" 2>&1) || status=$?
contains "no such folder" "Cannot save to $SCRATCH/no/where.jsonl: No such file or directory" "$out"

# --- what failed is in the file, too
FAKE_FAULT=check bench run --workload "$FAKE" --program Alpha --save "$SCRATCH/f.jsonl" >/dev/null 2>&1 || true
contains "a failed run keeps its samples" '"status":"check_failed"' "$(cat "$SCRATCH/f.jsonl")"
contains "a failed run keeps its samples" '"metric":"rate"' "$(cat "$SCRATCH/f.jsonl")"

# --- on a terminal, one line that is drawn anew, with the time left; elsewhere plain lines
python3 - "$BIN/nearmetal" "$FAKE" <<'END'
import os, pty, re, subprocess, sys
ours, theirs = pty.openpty()
args = [sys.argv[1], "bench", "compare", "--workload", sys.argv[2], "native", "same=env A=b", "--pairs", "30"]
process = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=theirs, stdin=subprocess.DEVNULL)
os.close(theirs)
out = process.stdout.read()
seen = b""
try:
    while part := os.read(ours, 65536):
        seen += part
except OSError:
    pass
assert process.wait() == 0, (out, seen)
lines = seen.split(b"\r\x1b[K")
assert len(lines) >= 3 and b"\n" not in seen, seen
assert re.fullmatch(rb"\[1/465\] native: Alpha \(cuda\)", lines[1]), lines
assert any(re.search(rb"s left$", line) for line in lines), lines
assert lines[-1] == b"", lines
print("ok: on a terminal one line, drawn anew, and taken away")
plain = subprocess.run(args, capture_output=True, text=True)
assert plain.returncode == 0 and plain.stderr.startswith("[1/465] native: Alpha (cuda)\n") and "\x1b" not in plain.stderr, plain
print("ok: elsewhere plain lines")
END
