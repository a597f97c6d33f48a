# A program with the store in it, and with it gRPC, protobuf and SQLite, needs nothing but glibc: no newer symbol than 2.36
# where it is built on a system with that one.
. "$(dirname "$0")/lib.sh"
file=$BUILD/src/store/nm_store_tool
for library in $(objdump -p "$file" | awk '$1 == "NEEDED" {print $2}'); do
  case $library in
    libc.so.6 | libm.so.6 | libdl.so.2 | libpthread.so.0 | ld-linux-x86-64.so.2) echo "ok: needs $library" ;;
    *) fail "the store needs $library" ;;
  esac
done
newest=$(objdump -T "$file" | grep -o 'GLIBC_2[0-9.]*' | sort -uV | tail -1)
if [ "$(printf '%s\n2.36\n' "$(getconf GNU_LIBC_VERSION | cut -d' ' -f2)" | sort -V | tail -1)" = 2.36 ]; then
  [ "$(printf '%s\nGLIBC_2.36\n' "$newest" | sort -V | tail -1)" = GLIBC_2.36 ] || fail "the store needs $newest"
fi
echo "ok: no newer symbol than $newest"
"$file" count "sqlite:$SCRATCH/pool.db" number 3 || fail "it does not run"
echo "ok: runs"
