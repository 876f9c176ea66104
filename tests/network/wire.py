"""Wires between pairs of interfaces, with delay, jitter, loss, reordering, a rate, and a blackout.

    wire.py plain IF…            switches off what hands over unfinished frames (checksums, segmentation)
    wire.py run NAME=IF,IF…      carries frames until standard input ends

While it runs, a line of JSON on standard input sets a wire, and a line on standard output confirms it:
    {"wire": "wifi", "delayMs": 25, "jitterMs": 5, "loss": 0.05, "reorder": 0.01, "kbitPerS": 2000, "queueBytes": 64000,
     "cut": false}
What is left out is off. Jitter delays each frame by a chance of its own and keeps their order, but for the share
that `reorder` names. A rate has a queue of its own, of `queueBytes` at most: beyond them the tail is lost. Both directions have the same properties and queues of their own.
It plays the part of netem, which not every kernel has (sch_netem).
"""

import ctypes
import fcntl
import heapq
import json
import os
import random
import selectors
import socket
import struct
import sys
import time

SIOCETHTOOL = 0x8946
# ETHTOOL_SRXCSUM, STXCSUM, SSG, STSO, SGSO, SGRO
OFFLOADS = (0x15, 0x17, 0x19, 0x1F, 0x24, 0x2C)
ETH_P_ALL = 3
PACKET_OUTGOING = 4
LONGEST_FRAME = 65_536
# Bytes that wait for a rate, if nobody chose.
QUEUE_BYTES = 256 * 1024


def make_plain(interfaces):
    control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for name in interfaces:
        for command in OFFLOADS:
            value = ctypes.create_string_buffer(struct.pack("II", command, 0))
            request = struct.pack("16sP16x", name.encode(), ctypes.addressof(value))
            try:
                fcntl.ioctl(control, SIOCETHTOOL, request)
            except OSError:
                # Not every interface has every offload.
                pass


class Direction:
    """Frames from one interface to the other."""

    def __init__(self, wire, source, target):
        self.wire, self.source, self.target = wire, source, target
        self.free_at = 0.0
        self.last_due = 0.0

    def due(self, size, now):
        """When a frame leaves; None if it is lost."""
        wire = self.wire
        if wire.get("cut") or random.random() < wire.get("loss", 0):
            return None
        start = now
        rate = wire.get("kbitPerS", 0) * 125
        if rate:
            start = max(now, self.free_at)
            if (start - now) * rate > wire.get("queueBytes", QUEUE_BYTES):
                return None
            self.free_at = start = start + size / rate
        due = start + wire.get("delayMs", 0) / 1e3 + random.uniform(0, wire.get("jitterMs", 0)) / 1e3
        if random.random() >= wire.get("reorder", 0):
            # Jitter alone does not reorder.
            due = max(due, self.last_due)
        self.last_due = max(due, self.last_due)
        return due


class Wires:
    def __init__(self, wires):
        self.properties = {}
        self.ready = selectors.DefaultSelector()
        self.waiting = []
        self.number = 0
        for name, interfaces in wires.items():
            self.properties[name] = {}
            ends = [self._open(interface) for interface in interfaces]
            for source, target in (ends, ends[::-1]):
                self.ready.register(source, selectors.EVENT_READ, Direction(self.properties[name], source, target))
        os.set_blocking(sys.stdin.fileno(), False)
        self.ready.register(sys.stdin.buffer.raw, selectors.EVENT_READ, None)
        self.typed = b""

    @staticmethod
    def _open(interface):
        end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        end.bind((interface, 0))
        end.setblocking(False)
        return end

    def run(self):
        print("ready", flush=True)
        while True:
            pause = max(0, self.waiting[0][0] - time.monotonic()) if self.waiting else None
            for key, _ in self.ready.select(pause):
                if key.data is None:
                    if not self._command():
                        return
                else:
                    self._take(key.data)
            now = time.monotonic()
            while self.waiting and self.waiting[0][0] <= now:
                _, _, direction, frame = heapq.heappop(self.waiting)
                self._give(direction, frame)

    def _take(self, direction):
        while True:
            try:
                frame, address = direction.source.recvfrom(LONGEST_FRAME)
            except (BlockingIOError, OSError):
                return
            if address[2] == PACKET_OUTGOING:
                continue
            now = time.monotonic()
            due = direction.due(len(frame), now)
            if due is None:
                continue
            if due <= now:
                self._give(direction, frame)
            else:
                self.number += 1
                heapq.heappush(self.waiting, (due, self.number, direction, frame))

    @staticmethod
    def _give(direction, frame):
        try:
            direction.target.send(frame)
        except OSError:
            # The interface is down: lost.
            pass

    def _command(self):
        chunk = sys.stdin.buffer.raw.read(65_536)
        if not chunk:
            return False
        *lines, self.typed = (self.typed + chunk).split(b"\n")
        for line in lines:
            wanted = json.loads(line)
            properties = self.properties[wanted.pop("wire")]
            properties.clear()
            properties.update(wanted)
            print("set", flush=True)
        return True


def main(arguments):
    if arguments[:1] == ["plain"]:
        make_plain(arguments[1:])
    elif arguments[:1] == ["run"]:
        named = (wire.split("=") for wire in arguments[1:])
        Wires({name: interfaces.split(",") for name, interfaces in named}).run()
    else:
        sys.exit(__doc__)


main(sys.argv[1:])
