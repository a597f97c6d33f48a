# `nearmetal top` tells of each session what it did and holds, and forgets it when it ends.
. "$(dirname "$0")/lib.sh"
start_server_tcp --max-sessions 40
NEARMETAL=$BIN/nearmetal UNIX=$NEARMETAL_SERVER TCP=tcp:127.0.0.1:$PORT python3 - "$(dirname "$0")/top_program.py" <<'END'
import json, os, subprocess, sys, time

PROGRAM, NEARMETAL = sys.argv[1], os.environ["NEARMETAL"]
MIB = 1 << 20


def top(server=os.environ["UNIX"], delay="0.1"):
    out = subprocess.run([NEARMETAL, "top", "--server", server, "--once", "--delay", delay, "-o", "json"],
                         capture_output=True, text=True, check=True, timeout=60).stdout
    return json.loads(out)


def eventually(what, condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)
    print("ok:", what)


class Program:
    """tests/e2e/top_program.py through a server: says a step, and goes on to the next when it is told to."""

    def __init__(self, *steps, server=os.environ["UNIX"], **environment):
        self.process = subprocess.Popen([NEARMETAL, "run", "--server", server, "--", sys.executable, PROGRAM, *steps],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=dict(os.environ, **environment))

    def at(self, step):
        line = self.process.stdout.readline().strip()
        assert line == step, (line, step)

    def go_on(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self):
        self.process.stdin.close()
        assert self.process.wait(60) == 0


# Every field is there, and of its type.
SESSION = {"id": str, "kind": str, "program": str, "pid": int, "from": str, "transport": str, "age_seconds": float,
           "idle_seconds": float, "gpu_memory_bytes": int, "calls_posted": int, "calls_waited": int, "bytes_in": int,
           "bytes_out": int, "kernels": int, "graphs": int, "posted_per_second": float, "waited_per_second": float,
           "bytes_in_per_second": float, "bytes_out_per_second": float, "launches_per_second": float,
           "worker_pid": int, "worker_cpu_percent": float}
GPU = {"index": int, "name": str, "uuid": str, "memory_bytes": int, "held_bytes": int}


def valid(answer):
    assert set(answer) == {"server", "interval_seconds", "sessions"}, answer
    server = answer["server"]
    assert set(server) == {"address", "release", "uptime_seconds", "sessions", "max_sessions", "gpus"}, server
    assert server["sessions"] == len(answer["sessions"]) and server["max_sessions"] == 40, server
    for gpu in server["gpus"]:
        assert {k: type(v) for k, v in gpu.items()} == GPU, gpu
    for session in answer["sessions"]:
        assert set(session) == set(SESSION) | {"uid", "user"}, session
        assert all(type(session[k]) is t for k, t in SESSION.items()), session
    return answer


eventually("the server names its GPUs", lambda: valid(top())["server"]["gpus"])
assert top()["sessions"] == [], top()

for way, server, environment in (("ring", os.environ["UNIX"], {}),
                                 ("socket", os.environ["UNIX"], {"NEARMETAL_TRANSPORT": "socket"}),
                                 ("tcp", os.environ["TCP"], {})):
    program = Program("idle", "allocate", "launch", "upload", "download", "free", server=server, **environment)
    program.at("idle")
    (before,) = valid(top(server))["sessions"]
    assert before["transport"] == way and before["program"] == os.path.basename(sys.executable)[:31], before
    assert before["pid"] == program.process.pid, (before, program.process.pid)
    assert before["uid"] == (None if way == "tcp" else os.getuid()), before
    assert before["gpu_memory_bytes"] == 0 and before["kernels"] == 0, before
    assert os.path.exists(f"/proc/{before['worker_pid']}"), before

    def step(name):
        program.go_on()
        program.at(name)
        (now,) = valid(top(server))["sessions"]
        assert now["id"] == before["id"], now
        return now

    now = step("allocate")
    assert now["gpu_memory_bytes"] == 96 * MIB, now
    assert now["calls_waited"] >= before["calls_waited"] + 3, (before, now)  # it allocated three times
    assert top(server)["server"]["gpus"][0]["held_bytes"] == 96 * MIB
    launched = step("launch")
    assert launched["kernels"] == 200 and launched["graphs"] == 0, launched
    assert launched["calls_posted"] >= now["calls_posted"] + 200, (now, launched)
    uploaded = step("upload")
    assert 24 * MIB <= uploaded["bytes_in"] - launched["bytes_in"] < 26 * MIB, (launched, uploaded)
    assert uploaded["bytes_out"] - launched["bytes_out"] < MIB, (launched, uploaded)
    downloaded = step("download")
    assert 8 * MIB <= downloaded["bytes_out"] - uploaded["bytes_out"] < 9 * MIB, (uploaded, downloaded)
    freed = step("free")
    assert freed["gpu_memory_bytes"] == 32 * MIB, freed
    idle = top(server, "0.5")["sessions"][0]
    assert idle["idle_seconds"] >= 0.4 and idle["posted_per_second"] == 0, idle
    program.end()
    eventually(f"what a session over {way} did and holds is told, until it ends", lambda: not valid(top())["sessions"])

many = [Program("idle") for _ in range(30)]
for program in many:
    program.at("idle")
answer = valid(top())
assert {s["pid"] for s in answer["sessions"]} == {p.process.pid for p in many}, answer
assert len({s["id"] for s in answer["sessions"]}) == len({s["worker_pid"] for s in answer["sessions"]}) == 30
table = subprocess.run([NEARMETAL, "top", "--delay", "0.1"], capture_output=True, text=True, check=True).stdout
assert "30 sessions of 40" in table and len(table.splitlines()) >= 33, table
print("ok: thirty sessions are thirty rows")
for program in many:
    program.end()
eventually("and none when they are over", lambda: not valid(top())["sessions"])
END

table=$("$BIN/nearmetal" top)
contains "without a terminal it is one table" "SESSION" "$table"
status=0
out=$("$BIN/nearmetal" top --server unix:/nonexistent/s 2>&1) || status=$?
equal "no server: status" 1 $status
contains "no server: a sentence" "unix:/nonexistent/s" "$out"
grep -c "Session .* begins" "$SCRATCH/server.log" >"$SCRATCH/begun"
equal "a question is no session" 33 "$(cat "$SCRATCH/begun")"
