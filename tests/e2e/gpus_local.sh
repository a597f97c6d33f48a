# `nearmetal gpus` shows this host's own GPUs where there is no server, and when told to; on machines made for the test.
. "$(dirname "$0")/lib.sh"
for shape in dgx desktop-dirty a100-vfs none; do
  "$BUILD/src/inventory/nm_fake_host" $shape "$SCRATCH/$shape"
done
gpus() { "$BIN/nearmetal" gpus --local "$@"; }

table=$(gpus --root "$SCRATCH/dgx")
equal "a DGX has eight" 8 "$(grep -c 'NVIDIA H100' <<<"$table")"
contains "the table names who holds a GPU" "nvidia-persistenced (pid 900, persistence daemon)" "$table"
contains "no colours outside a terminal" "READINESS" "$(gpus --root "$SCRATCH/dgx" | grep -v $'\033')"
contains "the details name what is in the way" "0000:02:00.0 (NVMe, nvme)" "$(gpus --root "$SCRATCH/desktop-dirty" --wide)"
contains "no GPU is a sentence" "This host has no GPU." "$(gpus --root "$SCRATCH/none")"
gpus --root "$SCRATCH/a100-vfs" -o json >"$SCRATCH/json"
gpus --root "$SCRATCH/a100-vfs" -o yaml >"$SCRATCH/yaml"
python3 - "$SCRATCH" <<'END'
import json, pathlib, sys
here = pathlib.Path(sys.argv[1])
seen = json.loads((here / "json").read_text())
assert [g["state"] for g in seen["gpus"]] == ["host", "attached", "attached", "host", "host"], seen
assert seen["gpus"][1]["holders"][0]["guest"] == "train1", seen
try:
    import yaml
except ImportError:
    print("no yaml module: the YAML is not read back")
else:
    assert yaml.safe_load((here / "yaml").read_text()) == seen
END
echo "ok: JSON and YAML tell who has each"

# This very machine, whatever it has; nothing named, and nobody listens at the usual address unless the machine is in use.
gpus -o json | python3 -c 'import json, sys; assert "gpus" in json.load(sys.stdin)'
echo "ok: this machine's own are told"
if [ ! -S /run/nearmetal/nearmetal.sock ] && [ -z "${XDG_RUNTIME_DIR:-}" ]; then
  out=$("$BIN/nearmetal" gpus 2>&1)
  contains "without a server it is this host's" "this host's own GPUs" "$out"
fi
before=$(cd "$SCRATCH/dgx" && find . | sort | md5sum)
gpus --wide --root "$SCRATCH/dgx" >/dev/null
equal "looking changes nothing" "$before" "$(cd "$SCRATCH/dgx" && find . | sort | md5sum)"

# Without root the same is told, and what is missing is said.
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
  chmod -R go+rX "$SCRATCH"
  if setpriv --reuid 65534 --regid 65534 --clear-groups test -x "$BIN/nearmetal"; then
    chmod 0700 "$SCRATCH/dgx/proc/4242/fd"
    out=$(setpriv --reuid 65534 --regid 65534 --clear-groups "$BIN/nearmetal" gpus --local --root "$SCRATCH/dgx" 2>&1)
    equal "without root all eight" 8 "$(grep -c 'NVIDIA H100' <<<"$out")"
    contains "what root would add is said" "As root this would also tell which of 1 processes of other users" "$out"
  fi
fi
