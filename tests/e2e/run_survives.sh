# `nearmetal run` holds whatever the program does to its environment (docs/decisions/0002-run-environment.md).
. "$(dirname "$0")/lib.sh"
start_server

name=$(run python3 -c "$PYTHON_PROBE")
[ -n "$name" ] || fail "no device name"
echo "the server's GPU is: $name"

# Another library of the same name, to be found by who looks in the wrong place.
mkdir "$SCRATCH/decoy"
printf 'int cuInit(unsigned f) { return 999; }\nint cuDeviceGet() { return 999; }\nint cuDeviceGetName() { return 999; }\n' |
  cc -x c -shared -fPIC -w -Wl,-soname,libcuda.so.1 -o "$SCRATCH/decoy/libcuda.so.1" -
decoy=$SCRATCH/decoy

equal "a shell" "$name" "$(run sh -c "python3 -c '$PYTHON_PROBE'")"
equal "a shell in a shell, with a login" "$name" "$(run bash -lc "bash -c 'python3 -c '\''$PYTHON_PROBE'\'''")"
equal "a program that sets LD_LIBRARY_PATH" "$name" \
  "$(run env LD_LIBRARY_PATH="$decoy" python3 -c "$PYTHON_PROBE")"
equal "a program that clears LD_LIBRARY_PATH" "$name" "$(run env -u LD_LIBRARY_PATH python3 -c "$PYTHON_PROBE")"
equal "a program that replaces LD_PRELOAD" "$name" "$(run env LD_PRELOAD= python3 -c "$PYTHON_PROBE")"
equal "Python that changes its own environment" "$name" "$(run python3 -c "
import os, subprocess, sys
os.environ['LD_LIBRARY_PATH'] = '$decoy'
subprocess.run([sys.executable, '-c', '''$PYTHON_PROBE'''], check=True)")"
equal "Python that forks before it uses the GPU" "$name" "$(run python3 -c "
import os
if os.fork() == 0:
    exec('''$PYTHON_PROBE''')
    os._exit(0)
os.wait()")"

printf 'int cuInit(unsigned);\nint main(void) { return cuInit(0); }\n' >"$SCRATCH/linked.c"
cc -o "$SCRATCH/linked" "$SCRATCH/linked.c" "$decoy/libcuda.so.1" -Wl,--disable-new-dtags,-rpath,"$decoy"
"$SCRATCH/linked" && fail "the decoy is no decoy"
run "$SCRATCH/linked" || fail "a program with a run path to another libcuda"
echo "ok: a program with a run path to another libcuda"

if cc -fsanitize=address -o "$SCRATCH/asan" "$SCRATCH/linked.c" "$decoy/libcuda.so.1" 2>/dev/null; then
  ASAN_OPTIONS=detect_leaks=0 run "$SCRATCH/asan" || fail "a program with AddressSanitizer"
  echo "ok: a program with AddressSanitizer"
fi

# What Triton does to find the directory of libcuda.so.1, and what it then does with it.
equal "Triton's look-up" "$BUILD/lib/nearmetal" "$(run python3 -c "
import os, subprocess
def dirs():
    if os.getenv('TRITON_LIBCUDA_PATH'):
        return [os.environ['TRITON_LIBCUDA_PATH']]
    libs = subprocess.check_output(['/sbin/ldconfig', '-p']).decode()
    return [os.path.dirname(line.split()[-1]) for line in libs.splitlines() if 'libcuda.so.1' in line]
def dirs_without_the_variable():
    found = subprocess.check_output(['/sbin/ldconfig', '-p']).decode()
    assert 'libcuda.so.1' in found or any(
        os.path.exists(os.path.join(d, 'libcuda.so.1')) for d in os.environ['LD_LIBRARY_PATH'].split(':'))
dirs_without_the_variable()
assert all(os.path.exists(os.path.join(d, 'libcuda.so.1')) for d in dirs())
print(os.path.realpath(dirs()[0]))")"
run cc -o "$SCRATCH/stub" "$SCRATCH/linked.c" -L"$BUILD/lib/nearmetal" -lcuda || fail "linking with -lcuda"
run "$SCRATCH/stub" || fail "a program linked with -lcuda"
echo "ok: a program linked with -lcuda"

equal "run within run" "$name" "$(run "$BIN/nearmetal" run -- python3 -c "$PYTHON_PROBE")"
