# What of kernel images travels over TCP: only what the device can use, and that once. Counted by the client, not timed.
source "$(dirname "$0")/lib.sh"

start_server_tcp --image-cache "$SCRATCH/images"
unix=$NEARMETAL_SERVER tcp=tcp:127.0.0.1:$PORT
export NEARMETAL_SERVER=$tcp

# program IMAGE…: loads each, reads its variable and prints it. An image is ptx:SIZE:VALUE, or fat:SIZE:VALUE:ENTRIES with
# entries like elf80 and ptx75; machine code is SIZE bytes of nothing that the software GPU could run.
cat >"$SCRATCH/program.py" <<'PYTHON'
import ctypes, struct, sys
cuda = ctypes.CDLL("libcuda.so.1")
def ok(result): assert result == 0, result
def ptx(size, value):
    text = b".version 7.5\n.target sm_75\n.address_size 64\n.visible .global .align 4 .u32 answer = %d;\n" % value
    text += b".visible .entry k() { ret; }\n"
    return text + b"".join(b"// %08d\n" % (i * 7919 % 10**8) for i in range((size - len(text)) // 12 + 1))
def fat(size, value, entries):
    body = b""
    for entry in entries.split(","):
        kind, sm = entry[:3], int(entry[3:])
        payload = ptx(size, value) if kind == "ptx" else b"\x7fELF" + bytes(size)
        payload += bytes(8 - len(payload) % 8)
        body += struct.pack("<HHIQIIIIIIQQQ", 1 if kind == "ptx" else 2, 0x101, 64, len(payload), 0, 0, 0, sm, 0, 0, 0x11, 0, 0)
        body += payload
    return struct.pack("<IHHQ", 0xba55ed50, 1, 16, len(body)) + body
device, context = ctypes.c_int(), ctypes.c_void_p()
ok(cuda.cuInit(0)), ok(cuda.cuDeviceGet(ctypes.byref(device), 0)), ok(cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device))
ok(cuda.cuCtxSetCurrent(context))
answers = []
for spec in sys.argv[1:]:
    form, size, value, *entries = spec.split(":")
    image = ptx(int(size), int(value)) if form == "ptx" else fat(int(size), int(value), *entries)
    module, address, bytes_, answer = ctypes.c_void_p(), ctypes.c_uint64(), ctypes.c_size_t(), ctypes.c_uint32()
    ok(cuda.cuModuleLoadData(ctypes.byref(module), image))
    ok(cuda.cuModuleGetGlobal_v2(ctypes.byref(address), ctypes.byref(bytes_), module, b"answer"))
    ok(cuda.cuMemcpyDtoH_v2(ctypes.byref(answer), address, 4))
    answers.append(answer.value)
print(*answers)
PYTHON

# Runs the program; sets $answers, and the counters by name: $images_sent, $waited, ...
program() {
  unset images_sent image_bytes_sent images_found image_bytes_found image_bytes_left_out waited bytes_out
  answers=$(NEARMETAL_STATS=1 run python3 "$SCRATCH/program.py" "$@" 2>"$SCRATCH/stats") || fail "the program: $(cat "$SCRATCH/stats")"
  eval "$(grep -o '\(image[a-z_]*\|waited\|bytes_out\)=[0-9]*' "$SCRATCH/stats")"
}

size=200000
program ptx:$size:41
equal "the image works" 41 "$answers"
equal "the first program sends it" "1 0" "$images_sent $images_found"
asked=$waited
[ "$bytes_out" -gt $size ] || fail "only $bytes_out bytes were counted"
equal "it is kept, for its owner" 600 "$(stat -c %a "$SCRATCH"/images/????????????????????????????????????????????????????????????????)"

program ptx:$size:41
equal "the second program has the same module" 41 "$answers"
equal "and sends none of it" "0 0 1" "$images_sent $image_bytes_sent $images_found"
[ "$image_bytes_found" -ge $size ] || fail "$image_bytes_found bytes were found"
[ "$bytes_out" -lt 20000 ] || fail "$bytes_out bytes were sent without the image"
equal "to know it saves the round trip of asking" $((asked - 1)) "$waited"
known=$waited
NEARMETAL_IMAGE_CACHE=0 program ptx:$size:41
equal "who may not ask sends" "1 $known" "$images_sent $waited"

program ptx:$size:42
equal "another image is another one" "42 1 0" "$answers $images_sent $images_found"
program ptx:$size:41 ptx:$size:42 ptx:3000:43
equal "both are there; a small one is not worth a question" "41 42 43 1 2" "$answers $images_sent $images_found"
equal "nor a file" 2 "$(ls "$SCRATCH/images" | grep -cv total)"

for file in "$SCRATCH"/images/????????????????????????????????????????????????????????????????; do
  printf 'damage' | dd of="$file" bs=1 seek=5000 conv=notrunc status=none
done
program ptx:$size:41 ptx:$size:42
equal "what was damaged is sent again" "41 42 2 0" "$answers $images_sent $images_found"
program ptx:$size:41 ptx:$size:42
equal "and kept again" "41 42 0 2" "$answers $images_sent $images_found"

NEARMETAL_COMPRESS=lz4 program ptx:$size:48
equal "compressed if that is wanted" "48 1" "$answers $images_sent"
[ "$image_bytes_sent" -lt $((size * 3 / 4)) ] || fail "$image_bytes_sent bytes of it were sent"
program ptx:$size:48
equal "and the same image for all that" "48 0 1" "$answers $images_sent $images_found"
NEARMETAL_COMPRESS=zip program ptx:$size:49
contains "what is no way to compress is said" "NEARMETAL_COMPRESS=zip is no way to compress" "$(cat "$SCRATCH/stats")"

program fat:$size:44:elf75,ptx75,elf80,elf100,ptx100
equal "of a fat binary one entry travels" "44 1" "$answers $images_sent"
[ "$image_bytes_sent" -lt $((size + 1000)) ] || fail "$image_bytes_sent bytes of it were sent"
[ "$image_bytes_left_out" -gt $((4 * size)) ] || fail "only $image_bytes_left_out bytes were left out"
program fat:$size:44:elf80,ptx75
equal "and is known by itself" "44 0 1" "$answers $images_sent $images_found"
NEARMETAL_WHOLE_IMAGES=1 program fat:$size:44:elf75,ptx75,elf80,elf100,ptx100
equal "whole if that is wanted" "44 1 0" "$answers $images_sent $image_bytes_left_out"

# The software GPU cannot run the machine code of its own architecture: only it can know, and it is asked.
program fat:$size:45:elf90,ptx75,elf80 fat:$size:46:elf90,ptx75,elf80
equal "what the driver refuses goes whole, the next at once with its PTX" "45 46 3" "$answers $images_sent"

for where in "$unix" "$unix ring" "$unix socket"; do
  set -- $where
  NEARMETAL_SERVER=$1 NEARMETAL_TRANSPORT=${2:-ring} program ptx:$size:41
  equal "on one host (${2:-as usual}) it goes as it is" "41 none $known" "$answers ${images_sent-none} $waited"
done

kill -TERM $SERVER_PID && wait $SERVER_PID
equal "images outlive the server" 8 "$(ls "$SCRATCH/images" | grep -c '^[0-9a-f]\{64\}$')"
start_server --listen "$tcp" --image-cache-size 0
export NEARMETAL_SERVER=$tcp
program ptx:$size:41 ptx:$size:42 ptx:$size:47
equal "a server that keeps none is asked once" "41 42 47 3" "$answers $images_sent"
NEARMETAL_IMAGE_CACHE=0 program ptx:$size:41 ptx:$size:42 ptx:$size:47
without=$waited
program ptx:$size:41 ptx:$size:42 ptx:$size:47
equal "which is one round trip" $((without + 1)) "$waited"
