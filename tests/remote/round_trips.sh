#!/usr/bin/env bash
# round_trips.sh MOST PROGRAM ARGS…: PROGRAM must succeed and wait for the server at most MOST times.
set -euo pipefail
most=$1
shift
log=$(mktemp)
trap 'rm -f "$log"' EXIT
NEARMETAL_STATS=1 "$@" 2>"$log" || { cat "$log" >&2; exit 1; }
waited=$(sed -n 's/^nearmetal: calls=.* waited=\([0-9]*\) .*/\1/p' "$log")
echo "waited for the server $waited times, at most $most are allowed"
[ -n "$waited" ] && [ "$waited" -le "$most" ]
