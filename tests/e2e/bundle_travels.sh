# What is installed runs from anywhere and needs nothing but glibc: no newer symbol than 2.36 in the programs (where they
# are built on a system with that one, as releases are), 2.34 in the client libraries, which live in other people's
# processes.
. "$(dirname "$0")/lib.sh"
prefix=$SCRATCH/somewhere/else
cmake --install "$BUILD" --prefix "$prefix" >/dev/null

needs() { objdump -p "$1" | awk '$1 == "NEEDED" {print $2}' | sort | tr '\n' ' '; }
newest_glibc() { objdump -T "$1" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -1; }
at_most() { [ "$(printf '%s\n' "$2" "$3" | sort -V | tail -1)" = "$3" ] || fail "$1 needs $2, newer than $3"; echo "ok: $1: $2"; }

for program in nearmetal nearmetald; do
  file=$prefix/bin/$program
  for library in $(needs "$file"); do
    case $library in
      libc.so.6 | libm.so.6 | libdl.so.2 | libpthread.so.0 | ld-linux-x86-64.so.2) ;;
      *) fail "$program needs $library" ;;
    esac
  done
  if [ "$(printf '%s\n2.36\n' "$(getconf GNU_LIBC_VERSION | cut -d' ' -f2)" | sort -V | tail -1)" = 2.36 ]; then
    at_most $program "$(newest_glibc "$file")" GLIBC_2.36
  fi
done
for library in libcuda.so.1 libnvidia-ml.so.1; do
  file=$prefix/lib/nearmetal/$library
  for needed in $(needs "$file"); do
    case $needed in
      libc.so.6 | ld-linux-x86-64.so.2) ;;
      *) fail "$library needs $needed" ;;
    esac
  done
  at_most $library "$(newest_glibc "$file")" GLIBC_2.34
  equal "$library has its name" "$library" "$(objdump -p "$file" | awk '$1 == "SONAME" {print $2}')"
  equal "${library%.1} leads to it" "$library" "$(readlink "${file%.1}")"
  [ -f "$prefix/lib/nearmetal/softgpu/$library" ] || fail "softgpu/$library is missing"
done
[ -f "$prefix/share/doc/nearmetal/LICENSE" ] || fail "the licence is missing"

BIN=$prefix/bin
start_server
run "$BUILD/tests/programs/nm_demo_program" || fail "the demo program, from the installed tree"
echo "ok: runs from $prefix"
