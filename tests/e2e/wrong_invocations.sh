# What a newcomer may mistype: each mistake ends with the status of its kind and a sentence that names the object.
. "$(dirname "$0")/lib.sh"

# wrong STATUS PART COMMAND...
wrong() {
  local expected=$1 part=$2 status=0 out
  shift 2
  out=$(timeout 20 "$@" 2>&1 </dev/null) || status=$?
  [ "$status" = "$expected" ] || fail "${*##*/}: status $status instead of $expected: $out"
  contains "${*##*/}" "$part" "$out"
}
run_() { local status=$1 part=$2; shift 2; wrong "$status" "$part" "$BIN/nearmetal" run "$@"; }
serve_() { local status=$1 part=$2; shift 2; wrong "$status" "$part" "$BIN/nearmetal" serve --driver soft "$@"; }
gpus_() { local status=$1 part=$2; shift 2; wrong "$status" "$part" "$BIN/nearmetal" gpus "$@"; }
pool_() { local status=$1 part=$2; shift 2; wrong "$status" "$part" "$BIN/nearmetal" pool "$@"; }
export NEARMETAL_POOL_DIR=/nonexistent
config() { echo "$1" >"$SCRATCH/c.toml"; }

# --- the command itself
wrong 2 'Usage: nearmetal VERB' "$BIN/nearmetal"
wrong 2 'there is no verb "frobnicate"' "$BIN/nearmetal" frobnicate
wrong 2 'not expected: extra' "$BIN/nearmetal" version extra
for verb in run gpus doctor serve version; do
  wrong 0 'Example:' "$BIN/nearmetal" $verb --help
done
wrong 0 'Example:' "$BIN/nearmetald" --help

# --- addresses
run_ 125 '--server: "foo" is not a server address' --server foo -- true
run_ 125 'must be absolute' --server unix:relative -- true
run_ 125 'at most 107 bytes' --server "unix:/$(printf 'x%.0s' {1..120})" -- true
run_ 125 'the port is missing' --server tcp:host -- true
run_ 125 'a number from 1 to 65535' --server tcp:host:99999 -- true
run_ 125 'must stand in brackets' --server tcp:::1:4000 -- true
wrong 125 'NEARMETAL_SERVER: "bla" is not a server address' env NEARMETAL_SERVER=bla "$BIN/nearmetal" run -- true
gpus_ 1 "unix:$SCRATCH/none: there is no such socket. Start one with" --server "unix:$SCRATCH/none"
gpus_ 1 'tcp:127.0.0.1:1: nothing listens there' --server tcp:127.0.0.1:1

run_ 125 'There is no pool in /nonexistent. Make one with' --server tls:127.0.0.1:1 -- true
gpus_ 1 'There is no pool in /nonexistent. Make one with' --server tcp:gpu-host.example:4000

# --- run and gpus
run_ 125 'There is no program to run. Write nearmetal run -- CMD'
run_ 125 'There is no program to run' --
run_ 125 '--bogus is not an option of `nearmetal run`' --bogus -- true
run_ 125 '--gpus: 1 required' --gpus
for list in x '' 0, 0,y; do
  run_ 125 "--gpus \"$list\" is not a list of GPUs" --gpus "$list" -- true
done
gpus_ 2 'xml not in {table,json,yaml}' -o xml
gpus_ 2 '--server excludes --local' --local --server unix:/s

wrong 2 'not expected: extra' "$BIN/nearmetal" doctor extra

# --- pool
pool_ 2 'Usage: nearmetal pool VERB'
pool_ 2 'has no verb "frobnicate"' frobnicate
pool_ 1 'There is no pool in /nonexistent' members
pool_ 1 'There is no pool in /nonexistent' invite --user alice
pool_ 2 'Say who is invited: --host NAME or --user NAME' invite
pool_ 2 '--host excludes --user' invite --host a --user b
pool_ 2 '"a b" is not a name of a member' invite --user 'a b'
pool_ 2 '--expires is "soon"; write a time' invite --user a --expires soon
pool_ 2 'This is not a whole token' join nearmetal-1.host:1.abc
pool_ 2 'TOKEN is required' join
pool_ 2 '--address is "a b"; write HOST or HOST:PORT' init --dir "$SCRATCH/p" --address 'a b'
pool_ 1 'Cannot make the directory /proc/pool' init --dir /proc/pool
for verb in init invite join revoke members; do
  wrong 0 'Example:' "$BIN/nearmetal" pool $verb --help
done

# --- serve: the command line
serve_ 2 'not expected: --bogus' --bogus
serve_ 2 '--listen: "foo" is not a server address' --listen foo
serve_ 1 "this host has no certificate in $SCRATCH/no-pool. Make a pool with" --listen tcp:0.0.0.0:4000 --pool "$SCRATCH/no-pool"
serve_ 2 '--pool is "pool"; it must be an absolute path' --pool pool
serve_ 1 "directory $SCRATCH/no/dir: No such file or directory. Create it first." --listen "unix:$SCRATCH/no/dir/s"
serve_ 1 'there is no group "no-such-group"' --listen "unix:$SCRATCH/s" --group no-such-group
serve_ 2 '--group: there is no Unix socket for "root" to use' --listen tcp:127.0.0.1:4000 --group root
serve_ 2 '"x" is not a whole number' --warm x
serve_ 2 '--warm is -1; it must be from 0 to 256' --warm -1
serve_ 2 '--log-level is "loud"; it must be debug, info, warn or error' --log-level loud
serve_ 2 '--nvml /nonexistent: No such file or directory' --nvml /nonexistent
touch "$SCRATCH/file"
serve_ 1 'a file that is not a socket stands there' --listen "unix:$SCRATCH/file"
wrong 2 "--driver $SCRATCH cannot be served:" "$BIN/nearmetal" serve --driver "$SCRATCH"
wrong 2 "--driver $SCRATCH/file cannot be served: $SCRATCH/file: file too short" \
  "$BIN/nearmetal" serve --driver "$SCRATCH/file"

# --- serve: the file
serve_ 2 'none.toml: No such file or directory. Check the path.' --config "$SCRATCH/none.toml"
serve_ 2 "$SCRATCH: Is a directory." --config "$SCRATCH"
config 'liste = "x"'
serve_ 2 'c.toml:1: unknown key "liste". The keys are:' --config "$SCRATCH/c.toml"
config 'warm = "x"'
serve_ 2 'c.toml:1: "warm" must be a whole number' --config "$SCRATCH/c.toml"
config 'listen = [1]'
serve_ 2 '"listen" must be a string or a list of strings' --config "$SCRATCH/c.toml"
config 'listen = "foo"'
serve_ 2 'c.toml: listen: "foo" is not a server address' --config "$SCRATCH/c.toml"
config 'warm = = 3'
serve_ 2 'c.toml:1: ' --config "$SCRATCH/c.toml"
config 'max_sessions = -1'
serve_ 2 'c.toml: max_sessions is -1' --config "$SCRATCH/c.toml"

# --- the client's file
mkdir -p "$XDG_CONFIG_HOME/nearmetal"
echo 'serve = "x"' >"$XDG_CONFIG_HOME/nearmetal/config.toml"
run_ 125 'config.toml:1: unknown key "serve". The keys are: server.' -- true
echo 'server = 3' >"$XDG_CONFIG_HOME/nearmetal/config.toml"
gpus_ 1 'config.toml:1: "server" must be a string'
rm -r "$XDG_CONFIG_HOME"

# --- with a server
start_server
serve_ 1 "Cannot listen on unix:$SCRATCH/s: another server is using it." --listen "unix:$SCRATCH/s"
run_ 127 'Cannot find /nonexistent/program' -- /nonexistent/program
run_ 126 'Cannot execute /etc/passwd: Permission denied. Check that it is a program' -- /etc/passwd

# A server that was killed leaves its socket: clients are told, and the next server takes the place.
kill -KILL "$SERVER_PID"
wait "$SERVER_PID" || true
gpus_ 1 "unix:$SCRATCH/s: nothing listens there. Start one with"
rm -f "$SCRATCH/server.log"
start_server
until grep -q Listening "$SCRATCH/server.log"; do kill -0 "$SERVER_PID" || fail "the server has ended"; sleep 0.05; done
gpus_ 0 'UUID'
wrong 1 'NEARMETAL_TRANSPORT=pigeon is no transport: set it to ring or socket' \
  env NEARMETAL_TRANSPORT=pigeon "$BIN/nearmetal" run --server "unix:$SCRATCH/s" -- "$BUILD/tests/programs/nm_demo_program"
