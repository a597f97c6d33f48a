# On a terminal `nearmetal top` draws again and again, fits the window, and gives the terminal back as it was.
. "$(dirname "$0")/lib.sh"
start_server
NEARMETAL=$BIN/nearmetal SERVER_PID=$SERVER_PID python3 - <<'END'
import fcntl, os, pty, re, select, signal, struct, subprocess, termios, time

NEARMETAL = os.environ["NEARMETAL"]
TAKE, GIVE_BACK = b"\x1b[?1049h\x1b[?25l", b"\x1b[?25h\x1b[?1049l"


class Terminal:
    def __init__(self, rows, columns, *args):
        self.ours, self.theirs = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.theirs)
        self.seen = b""

        def control():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen([NEARMETAL, "top", "--delay", "0.1", *args], stdin=self.theirs,
                                        stdout=self.theirs, stderr=self.theirs, preexec_fn=control)

    def resize(self, rows, columns):
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def until(self, condition, what, seconds=30):
        end = time.monotonic() + seconds
        while not condition(self.seen):
            assert time.monotonic() < end, (what, self.seen[-2000:])
            if select.select([self.ours], [], [], 0.05)[0]:
                self.seen += os.read(self.ours, 65536)

    def pictures(self):
        """What was drawn, as lists of lines; the last may not be whole."""
        whole = self.seen.split(b"\x1b[H")[1:-1]
        return [[re.sub(rb"\x1b\[[?0-9]*[a-zA-Z]", b"", line).rstrip(b"\r") for line in p.split(b"\n")] for p in whole]

    def end(self):
        self.until(lambda seen: seen.endswith(GIVE_BACK), "the screen is given back")
        assert self.process.wait(30) == 0, self.process.returncode
        assert termios.tcgetattr(self.theirs) == self.before, "the terminal is not as it was"
        assert self.seen.count(TAKE) == self.seen.count(GIVE_BACK) == 1, self.seen


terminal = Terminal(24, 80)
terminal.until(lambda seen: seen.count(b"\x1b[H") > 4, "it is drawn again and again")
assert terminal.seen.startswith(TAKE), terminal.seen[:100]
assert termios.tcgetattr(terminal.theirs)[3] & termios.ECHO == 0, "keys are echoed"
for picture in terminal.pictures():
    assert picture[0].startswith(b"nearmetal ") and b"sessions" in picture[0], picture
    assert all(len(line) <= 80 for line in picture) and len(picture) <= 24, picture
terminal.seen = TAKE
terminal.resize(24, 40)
terminal.until(lambda seen: seen.count(b"\x1b[H") > 3, "it is drawn after a change of the window")
assert all(len(line) <= 40 for line in terminal.pictures()[-1]), terminal.pictures()[-1]
os.write(terminal.ours, b"xq")
terminal.end()
print("ok: q ends it")

terminal = Terminal(24, 80)
terminal.until(lambda seen: b"GPU 0" in seen, "it draws")
os.write(terminal.ours, b"\x03")
terminal.end()
print("ok: Ctrl-C ends it")

terminal = Terminal(24, 80)
terminal.until(lambda seen: b"GPU 0" in seen, "it draws")
terminal.process.send_signal(signal.SIGTERM)
terminal.end()
print("ok: a signal ends it")

small = Terminal(2, 20)
small.until(lambda seen: seen.count(b"\x1b[H") > 4, "it draws into a small window")
assert all(len(p) <= 2 and all(len(line) <= 20 for line in p) for p in small.pictures()), small.pictures()
os.write(small.ours, b"q")
small.end()
print("ok: a small window holds what it has room for")

terminal = Terminal(24, 80)
terminal.until(lambda seen: b"GPU 0" in seen, "it draws")
os.kill(int(os.environ["SERVER_PID"]), signal.SIGTERM)
terminal.until(lambda seen: b"Cannot reach" in seen, "it says that the server is gone")
assert terminal.process.poll() is None, "it ended with the server"
os.write(terminal.ours, b"q")
terminal.end()
print("ok: a server that goes is said, and the screen stays")

gone = Terminal(24, 80)
assert gone.process.wait(30) == 1
gone.until(lambda seen: b"nearmetal:" in seen, "a sentence")
assert TAKE not in gone.seen, gone.seen
print("ok: no server: a sentence, and no screen")
END
