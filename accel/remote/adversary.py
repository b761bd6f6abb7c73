#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""adversary.py MODE TYPE COMMAND...: an agent that goes wrong at the first request of one type.

Between a client and COMMAND (conf-agent): frames pass unchanged until the request, then one of
  hang    nothing is answered any more          die      leaves with status 3
  kill    killed by a signal                    half     half of an answer's header, then the end
  text    prints a line where a frame was due   garbage  an answer whose payload does not parse
  seq     an answer to no request               huge     an answer of 4 GiB
  torn    an error whose payload does not parse abort    ABORT, with a sentence
  cut     an answer that is promised to be longer than what comes, then the end
  none    nothing: as if this program were not there
TYPE is a number of docs/wire.md, 0: never."""
import os
import signal
import struct
import subprocess
import sys
import threading

HEAD = struct.Struct("<IHHII")
REPLY, ERROR = 1, 2
ABORT = 40
is_wrong = threading.Event()


def read_exactly(fd, n):
    data = b""
    while len(data) < n:
        piece = os.read(fd, n - len(data))
        if not piece:
            return None
        data += piece
    return data


def write_all(fd, data):
    while data:
        data = data[os.write(fd, data):]


def err(text):
    return struct.pack("<IqHHH", 14, 0, 0xFFFF, 0xFFFF, len(text)) + text + struct.pack("<I", 0xFFFFFFFF)


def go_wrong(mode, type_, seq, object_):
    def say(payload, flags=REPLY, seq=seq, length=None, type_=type_):
        length = len(payload) if length is None else length
        write_all(1, HEAD.pack(length, type_, flags, seq, object_) + payload)

    if mode == "die":
        sys.stderr.write("adversary: gone\n")
        sys.stderr.flush()
        os._exit(3)
    elif mode == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif mode == "half":
        write_all(1, HEAD.pack(0, type_, REPLY, seq, object_)[:8])
        os._exit(0)
    elif mode == "cut":
        say(b"\0" * 10, length=1000)
        os._exit(0)
    elif mode == "text":
        write_all(1, b"Segmentation fault (core dumped)\n")
    elif mode == "garbage":
        say(b"\xfe" * 7)
    elif mode == "seq":
        say(b"", seq=seq + 100000)
    elif mode == "huge":
        say(b"", length=0xFFFFFFFF)
    elif mode == "torn":
        say(b"\1", flags=REPLY | ERROR)
    elif mode == "abort":
        say(err(b"adversary: enough"), flags=0, seq=0, type_=ABORT)
    while os.read(0, 65536):  # the client's end is ours
        pass
    os._exit(0)


def answers(fd):
    while True:
        data = os.read(fd, 65536)
        if not data:
            if not is_wrong.is_set():
                os._exit(0)
            return
        write_all(1, data)


def main():
    mode, victim, command = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    agent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    threading.Thread(target=answers, args=(agent.stdout.fileno(),), daemon=True).start()
    while True:
        head = read_exactly(0, HEAD.size)
        if head is None:
            break
        length, type_, flags, seq, object_ = HEAD.unpack(head)
        payload = read_exactly(0, length)
        if type_ == victim and mode != "none":
            is_wrong.set()
            agent.kill()
            agent.wait()
            go_wrong(mode, type_, seq, object_)
        write_all(agent.stdin.fileno(), head + (payload or b""))
    agent.stdin.close()
    agent.wait()


main()
