# The exit status of `nearmetal run` is the program's; its own failures have statuses and sentences of their own.
. "$(dirname "$0")/lib.sh"
start_server

status() { local s=0; "$@" >"$SCRATCH/out" 2>&1 || s=$?; echo $s; }

equal "success" 0 "$(status run true)"
equal "the program's status" 7 "$(status run sh -c 'exit 7')"
equal "a program ended by a signal" 143 "$(status run sh -c 'kill -TERM $$')"
equal "arguments arrive as they were" "a b|--gpus|*" "$(run printf '%s|%s|%s' 'a b' --gpus '*')"
equal "stdin arrives" "hello" "$(echo hello | run cat)"

equal "not found" 127 "$(status run no-such-program)"
contains "not found: a sentence" "Cannot find no-such-program" "$(cat "$SCRATCH/out")"
equal "not executable" 126 "$(status run /etc/passwd)"
contains "not executable: a sentence" "Cannot execute /etc/passwd" "$(cat "$SCRATCH/out")"
equal "an unknown option" 125 "$(status "$BIN/nearmetal" run --frobnicate -- true)"
equal "no program" 125 "$(status "$BIN/nearmetal" run)"

equal "no server" 125 "$(status "$BIN/nearmetal" run --server unix:/nonexistent/s -- true)"
contains "no server: address and reason" \
  "Cannot reach the nearmetal server at unix:/nonexistent/s: there is no such socket." "$(cat "$SCRATCH/out")"
equal "no server on the port" 125 "$(status "$BIN/nearmetal" run --server tcp:127.0.0.1:1 -- true)"
contains "no server on the port: address and reason" "tcp:127.0.0.1:1: nothing listens there" "$(cat "$SCRATCH/out")"
equal "a bad address" 125 "$(status "$BIN/nearmetal" run --server nonsense -- true)"
contains "a bad address: where it came from" '--server: "nonsense" is not a server address' "$(cat "$SCRATCH/out")"

equal "gpus are chosen by --gpus" "0,2" "$("$BIN/nearmetal" run --gpus 0,2 -- printenv CUDA_VISIBLE_DEVICES)"
equal "without --gpus nothing is chosen" 1 "$(status run printenv CUDA_VISIBLE_DEVICES)"
mkdir -p "$XDG_CONFIG_HOME/nearmetal"
echo "server = \"$NEARMETAL_SERVER\"" >"$XDG_CONFIG_HOME/nearmetal/config.toml"
unset NEARMETAL_SERVER
equal "the server comes from the configuration" "unix:$SCRATCH/s" "$(run printenv NEARMETAL_SERVER)"
