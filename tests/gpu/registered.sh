#!/usr/bin/env bash
# registered.sh BUILD: registered memory on a genuine GPU. The tests that run on the software GPU everywhere, and random
# programs whose kernels use registered memory by a pointer, through rings; then the same with mirrors. BUILD has bin/,
# lib/ and tests/ of a build tree. Exit status 0: all right.
set -euo pipefail

build=$(readlink -f "${1:?which build folder?}")
here=$(dirname "$(readlink -f "$0")")
export NM_BUILD=$build NM_DRIVER=${NM_DRIVER:-auto}
through() { "$here/../with_server.sh" "$@"; }

through "$build/tests/remote/nm_remote_registered_test"
through "$build/tests/programs/nm_order" --seeds 2000 60
NEARMETAL_REGISTER=mirror through "$build/tests/remote/nm_remote_registered_test"
NEARMETAL_REGISTER=mirror through "$build/tests/programs/nm_order" --seeds 2100 30 --without registered-mapped
