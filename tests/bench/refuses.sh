# What may go wrong, one by one: a sentence and a status that is not 0, and what was measured is still shown.
. "$(dirname "$0")/lib.sh"
one() { local status=$1 part=$2; shift 2; wrong "$status" "$part" "$BIN/nearmetal" bench compare --workload "$FAKE" --program Alpha --pairs 2 "$@"; }
faulty() { one 1 "$2" native "bad=env FAKE_FAULT=$1"; }

# --- targets
one 2 'Target "ntive" is not known' native ntive
one 2 '/nonexistent/vm is neither native' native '/nonexistent/vm ssh'
one 2 'has a quote that does not end' native "ssh 'vm"
one 2 'there is no file no.jsonl' native no.jsonl
one 2 'is empty' native x=
one 2 'needs two targets' native
one 1 'Target gone does not start' native 'gone=run --server tcp:127.0.0.1:1'
one 1 'nothing listens there' native 'gone=run --server tcp:127.0.0.1:1'
one 1 'Target none does not start' native 'none=env /nonexistent/starter'
one 1 'Target there does not start' native 'there=env A=b' --workload-there /nonexistent/w
wrong 1 'There is no program /nonexistent' "$BIN/nearmetal" bench compare --workload /nonexistent native native
one 2 '--margin "5x" is no margin' native native --margin 5x
one 2 'must be below 50 %' native native --margin 200%
wrong 1 'There is no program "Zeta"' "$BIN/nearmetal" bench run --workload "$FAKE" --program Zeta
wrong 2 'has no verb "walk"' "$BIN/nearmetal" bench walk

# --- what a target does
faulty crash 'was ended by signal 6 (Aborted). Its last words: fake: about to crash'
faulty text 'Line 1 of its output is no JSON'
faulty binary 'Line 1 of its output is no JSON'
faulty nothing 'printed nothing that a benchmark program prints'
faulty huge 'is longer than 4 MiB'
faulty deep 'is nested deeper than 16 levels'
faulty nan 'has a number that is not finite'
faulty infinite 'has a number that is not finite'
faulty kind 'is of an unknown kind, "surprise"'
faulty twice 'measures rate twice'
faulty no_end 'ended without the line `end`'
faulty truncated 'is no JSON'
faulty other_program 'It ran Omega'
faulty refuses 'exited with status 2. Its last words: fake: no such thing'
faulty device 'The device is out of memory. Choose a smaller --size.'
faulty check 'Wrong result: sum: the error is 0.5, the bound 1e-06'
faulty check_hidden 'Wrong result: sum'
one 1 'did not end within 0.5 s and was ended' native 'bad=env FAKE_FAULT=hang' --timeout 0.5
wrong 1 'did not end within 0.5 s' env FAKE_FAULT=stubborn "$BIN/nearmetal" bench run --workload "$FAKE" --program Alpha --timeout 0.5
[ -z "$(pgrep -f "^$FAKE run" || true)" ] || fail "what hung is still there"
echo "ok: nothing is left of what hung"
wrong 1 'Wrong result' env FAKE_FAULT=check "$BIN/nearmetal" bench run --workload "$FAKE" --program Alpha
wrong 1 '2 runs failed' "$BIN/nearmetal" bench compare --workload "$FAKE" --program Alpha native 'bad=env FAKE_FAULT=crash' --pairs 9

# --- the wrong GPU, the wrong suite
one 1 'those are not two ways to one GPU' native 'other=env FAKE_UUID=GPU-3'
one 0 'against native' native 'other=env FAKE_UUID=GPU-3' --different-gpus
one 1 'bad reached another GPU than before: Fake GPU (GPU-2) instead of Fake GPU (GPU-1)' native \
  "bad=sh -c '[ -e $SCRATCH/seen ] && export FAKE_FAULT=gpu; touch $SCRATCH/seen; exec \"\$@\"' sh"
one 1 'runs version 1 of the suite and old version 0' native 'old=env FAKE_VERSION=0'

# --- files
save() { local name=$1; shift; env "$@" "$BIN/nearmetal" bench run --workload "$FAKE" --program Alpha --runs 3 --save "$SCRATCH/$name" >/dev/null 2>&1; }
report() { local status=$1 part=$2; shift 2; wrong "$status" "$part" "$BIN/nearmetal" bench report "$@"; }
save a.jsonl A=b
save old.jsonl FAKE_VERSION=0
save other.jsonl FAKE_GPU='Another GPU'
report 1 "($SCRATCH/old.jsonl) with version 0" "$SCRATCH/a.jsonl" "$SCRATCH/old.jsonl"
report 1 'Add --different-gpus' "$SCRATCH/a.jsonl" "$SCRATCH/other.jsonl"
report 0 'against' --different-gpus "$SCRATCH/a.jsonl" "$SCRATCH/other.jsonl"
report 1 'No such file' "$SCRATCH/none.jsonl"
report 1 'is no file' "$SCRATCH"
: >"$SCRATCH/x"; report 1 'is empty, or no result file' "$SCRATCH/x"
echo hello >"$SCRATCH/x"; report 1 'line 1 is no JSON' "$SCRATCH/x"
echo '{"line":"run"}' >"$SCRATCH/x"; report 1 'line 1 is not the header' "$SCRATCH/x"
echo '{"line":"header","results":99}' >"$SCRATCH/x"; report 1 'is of result format 99' "$SCRATCH/x"
{ head -1 "$SCRATCH/a.jsonl"; echo '{"line":"run","target":"native"}'; } >"$SCRATCH/x"
report 1 'line 2 is a run without its target, program, pair or status' "$SCRATCH/x"
{ head -1 "$SCRATCH/a.jsonl"; head -c 100000 /dev/zero | tr '\0' '['; echo; } >"$SCRATCH/x"
report 1 'line 2 is nested deeper' "$SCRATCH/x"
sed 's/"pair":1/"pair":"one"/' "$SCRATCH/a.jsonl" >"$SCRATCH/x"; report 1 'is a run without' "$SCRATCH/x"
head -c 1500 "$SCRATCH/a.jsonl" >"$SCRATCH/x"
"$BIN/nearmetal" bench report "$SCRATCH/x" >/dev/null || fail "a file that was cut off is not read"
echo "ok: of a file that was cut off, what is whole is read"
one 2 'is not known' native "$SCRATCH/x y"
one 1 'has no target "guest"' native "$SCRATCH/a.jsonl#guest"
