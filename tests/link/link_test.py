"""The link carries every byte in order, no sooner than it says and no faster. usage: link_test.py NM_LINK"""

import hashlib
import os
import socket
import subprocess
import sys
import threading
import time


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def echo(listener):
    while True:
        try:
            s, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=lambda s=s: pump(s), daemon=True).start()


def pump(s):
    while data := s.recv(65536):
        s.sendall(data)
    s.close()


def main():
    target = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=echo, args=(target,), daemon=True).start()
    port, round_trip, gbit = free_port(), 0.002, 1
    link = subprocess.Popen([sys.argv[1], "--listen", f"tcp:127.0.0.1:{port}", "--to", f"tcp:127.0.0.1:{target.getsockname()[1]}",
                             "--round-trip-us", str(round_trip * 1e6), "--gbit", str(gbit)], stdout=subprocess.PIPE, text=True)
    try:
        assert link.stdout.readline() == "ready\n"
        with socket.create_connection(("127.0.0.1", port)) as s:
            for _ in range(20):
                start = time.monotonic()
                s.sendall(b"x")
                assert s.recv(1) == b"x"
                assert time.monotonic() - start >= round_trip, "a byte was sooner than the link allows"
        sent = os.urandom(8 << 20)
        with socket.create_connection(("127.0.0.1", port)) as s:
            start = time.monotonic()
            threading.Thread(target=lambda: (s.sendall(sent), s.shutdown(socket.SHUT_WR)), daemon=True).start()
            got = hashlib.sha256()
            while data := s.recv(65536):
                got.update(data)
            took = time.monotonic() - start
        assert got.digest() == hashlib.sha256(sent).digest(), "other bytes arrived"
        assert took >= len(sent) * 8 / (gbit * 1e9), "the bytes were faster than the link allows"

        # Two connections have the link's bandwidth together, not each.
        def send_and_read():
            with socket.create_connection(("127.0.0.1", port)) as s:
                threading.Thread(target=lambda: (s.sendall(sent), s.shutdown(socket.SHUT_WR)), daemon=True).start()
                left = len(sent)
                while left and (data := s.recv(65536)):
                    left -= len(data)
                missing.append(left)

        missing = []
        both = [threading.Thread(target=send_and_read) for _ in range(2)]
        start = time.monotonic()
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
        assert missing == [0, 0], "bytes were lost"
        assert time.monotonic() - start >= 2 * len(sent) * 8 / (gbit * 1e9), "two connections were faster than the link allows"
        assert link.poll() is None, "the link ended"
    finally:
        link.kill()
        link.wait()
    bad = subprocess.run([sys.argv[1], "--listen", "tcp:0.0.0.0:1", "--to", "unix:/x"], capture_output=True, text=True)
    assert bad.returncode == 2 and "127.0.0.1" in bad.stderr, bad.stderr
    print("whole and in order, no byte too soon")


main()
