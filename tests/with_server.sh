#!/usr/bin/env bash
# with_server.sh [--tcp] PROGRAM ARGS…: starts a server of its own that serves the software GPU, runs PROGRAM with our
# client library in front, stops the server and checks that it ended well and left nothing. The exit status is PROGRAM's.
# NM_BUILD names the build folder, NM_DRIVER another driver to serve.
set -euo pipefail

build=${NM_BUILD:-$(dirname "$(readlink -f "$0")")/../build}
die() { printf 'with_server: %s\n' "$*" >&2; exit 1; }

tcp=0
if [ "${1:-}" = --tcp ]; then tcp=1; shift; fi
[ $# -ge 1 ] || die "which program?"

scratch=$(mktemp -d)
server=""
cleanup() {
  if [ -n "$server" ]; then
    kill -KILL "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  rm -rf "$scratch"
}
trap cleanup EXIT

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
listens() {
  if [ $tcp = 1 ]; then (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; else [ -S "$scratch/s" ]; fi
}

# Somebody else may take the port between our asking and the server's listening: then another one.
start() {
  address=unix:$scratch/s
  if [ $tcp = 1 ]; then port=$(free_port) && address=tcp:127.0.0.1:$port; fi
  "$build/bin/nearmetald" --listen "$address" --driver "${NM_DRIVER:-soft}" --image-cache "$scratch/images" --log-level warn 2>"$scratch/log" &
  server=$!
  for _ in $(seq 300); do
    listens && return 0
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  kill -KILL "$server" 2>/dev/null || true
  wait "$server" 2>/dev/null || true
  server=""
  return 1
}
for attempt in 1 2 3; do
  start && break
  [ $tcp = 1 ] && [ $attempt -lt 3 ] || { cat "$scratch/log" >&2; die "the server did not start."; }
done

status=0
NEARMETAL_SERVER=$address LD_LIBRARY_PATH=$build/lib/nearmetal "$@" || status=$?

kill -TERM "$server"
ended=0
wait "$server" || ended=$?
server=""
if [ -s "$scratch/log" ]; then cat "$scratch/log" >&2; fi
[ $ended = 0 ] || die "the server ended with status $ended."
[ ! -e "$scratch/s" ] || die "the server left its socket behind."
exit $status
