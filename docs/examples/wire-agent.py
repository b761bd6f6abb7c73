#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""wire-agent.py: an agent in another language, from docs/wire.md alone. Its backend "toy" has one vcpu at a time that knows
RV64I; a load or store where nothing is mapped is an exit. Try it:

    conf run scenarios/exits.yaml --backend 'remote:toy:docs/examples/wire-agent.py'

One thread does all: a KICK is looked for between instructions. What a backend of your own needs is in Toy; the rest is the wire."""
import os
import select
import struct
import sys

HEAD = struct.Struct("<IHHII")
IS_REPLY, IS_ERROR, MORE, CHAIN = 1, 2, 4, 8
KICK, ABORT, SERVED = 27, 40, [*range(1, 10), 20, 21, 22, *range(25, 31)]
STATE, BUSY, UNSUPPORTED, NOENT, FAULT, PROTO, VERSION, RISCV64 = 2, 3, 5, 8, 9, 15, 17, 1
EXIT = {"mmio_read": (1, 2), "mmio_write": (2, 1), "canceled": (25, 0), "budget": (26, 0), "unsupported": (28, 0)}
HAS_PC_BEFORE, HAS_VALUE, HAS_INSNS, M64 = 1, 8, 32, (1 << 64) - 1
# vcpu, gpr_get, gpr_set, reg_list, exit_detail, mmio_data, pc_before, map, cancel, deadline, insn_count, env_virt, executes
NONE, FULL, NCAPS, CAPS = 1, 3, 52, {0, 1, 2, 7, 12, 13, 22, 29, 35, 36, 37, 46, 48}
class Failed(Exception):
    """code, text"""
# ---- the backend ----
def signed(value, bits=64):
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value

class Toy:
    def __init__(self):
        self.rams, self.maps = {}, {}
    def at(self, gpa, n):
        found = [(ram, offset + gpa - start) for start, (size, ram, offset) in self.maps.items()
                 if start <= gpa and gpa + n <= start + size]
        return found[0] if found else (None, 0)
class Vcpu:
    def __init__(self, vm):
        self.vm, self.x, self.pc, self.insns, self.other = vm, [0] * 32, 0, 0, {}
        self.is_setup = self.is_kicked = False
        self.due = None  # the register that a read's answer goes to, with its size and sign; or "ack"
    def step(self):
        """One instruction, or the exit that it makes: (kind, addr, size, is_signed, value)."""
        ram, at = self.vm.at(self.pc, 4)
        if ram is None:
            return "unsupported", self.pc, 0, False, 0
        i = int.from_bytes(ram[at:at + 4], "little")
        op, rd, f3, rs1, rs2, f7 = i & 0x7F, i >> 7 & 31, i >> 12 & 7, i >> 15 & 31, i >> 20 & 31, i >> 25
        a, b, imm, nextpc, result = self.x[rs1], self.x[rs2], signed(i >> 20, 12), self.pc + 4, None
        if op == 0x37:
            result = signed(i & 0xFFFFF000, 32)
        elif op == 0x17:
            result = self.pc + signed(i & 0xFFFFF000, 32)
        elif op == 0x6F:
            result = nextpc
            nextpc = self.pc + signed((i >> 31) << 20 | (i >> 12 & 0xFF) << 12 | (i >> 20 & 1) << 11 | (i >> 21 & 0x3FF) << 1, 21)
        elif op == 0x67:
            result, nextpc = nextpc, (a + imm) & ~1
        elif op == 0x63:
            taken = [a == b, a == b, 0, 0, signed(a) < signed(b), signed(a) < signed(b), a < b, a < b][f3] != bool(f3 & 1)
            if taken:
                nextpc = self.pc + signed((i >> 31) << 12 | (i >> 7 & 1) << 11 | (i >> 25 & 0x3F) << 5 | (i >> 8 & 15) << 1, 13)
        elif op == 0x03:
            addr, size, is_signed = (a + imm) & M64, 1 << (f3 & 3), f3 < 4
            ram, at = self.vm.at(addr, size)
            if ram is None:
                self.due = (rd, size, is_signed)
                return "mmio_read", addr, size, is_signed, 0
            value = int.from_bytes(ram[at:at + size], "little")
            result = signed(value, 8 * size) if is_signed else value
        elif op == 0x23:
            addr, size = (a + signed(f7 << 5 | rd, 12)) & M64, 1 << f3
            ram, at = self.vm.at(addr, size)
            value = b & ((1 << 8 * size) - 1)
            if ram is None:
                self.due = "ack"
                self.retire(nextpc)
                return "mmio_write", addr, size, False, value
            ram[at:at + size] = value.to_bytes(size, "little")
        elif op in (0x13, 0x33, 0x1B, 0x3B) and not (op & 0x20 and f7 & 1):
            bits = 32 if op & 8 else 64
            c = b if op & 0x20 else imm
            shift, is_alt = c & (bits - 1), f7 & 0x20 and (op & 0x20 or f3 == 5)
            value = a & ((1 << bits) - 1)
            result = [a - c if is_alt else a + c, value << shift, signed(a) < signed(c), a < (c & M64), a ^ c,
                      (signed(a, bits) if is_alt else value) >> shift, a | c, a & c][f3]
            result = signed(int(result), bits)
        elif op != 0x0F:  # fence: everything is in order here
            return "unsupported", self.pc, 0, False, i
        if result is not None and rd:
            self.x[rd] = result & M64
        self.retire(nextpc)
        return None
    def retire(self, pc):
        self.pc, self.insns = pc & M64, self.insns + 1
    def answer(self, value):
        if self.due != "ack":
            rd, size, is_signed = self.due
            value &= (1 << 8 * size) - 1
            if rd:
                self.x[rd] = (signed(value, 8 * size) if is_signed else value) & M64
            self.retire(self.pc + 4)
        self.due = None

# Registers travel as bytes. What the toy has no use for, such as the vector of a trap, it keeps.
def reg_get(v, id_):
    cls, index = id_ >> 48 & 0xFF, id_ & ((1 << 48) - 1)
    value = v.x[index] if cls == 1 else v.pc if cls == 5 and index == 0 else None
    return v.other.get(id_, bytes(1 << (id_ >> 56 & 15))) if value is None else struct.pack("<Q", value)
def reg_set(v, id_, data):
    cls, index = id_ >> 48 & 0xFF, id_ & ((1 << 48) - 1)
    if cls == 1:
        v.x[index] = int.from_bytes(data, "little") if index else 0
    elif cls == 5 and index == 0:
        v.pc = int.from_bytes(data, "little") & ~1
    else:
        v.other[id_] = data
def reg_check(id_):
    if id_ >> 60 != RISCV64 or (id_ >> 48 & 0xFF == 1 and id_ & ((1 << 48) - 1) > 31):
        raise Failed(NOENT, f"no register 0x{id_:x}")
    return id_

REGS = [RISCV64 << 60 | 3 << 56 | 1 << 48 | i for i in range(1, 32)] + [RISCV64 << 60 | 3 << 56 | 5 << 48]

# ---- values of the wire ----
class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0
    def take(self, fmt):
        values = struct.unpack_from("<" + fmt, self.data, self.at)  # too short: struct.error, which ends the link
        self.at += struct.calcsize("<" + fmt)
        return values if len(values) > 1 else values[0]
    def str(self):
        n = self.take("H")
        return None if n == 0xFFFF else self.take(f"{n}s").decode()
    def bulk(self):
        total, out = self.take("Q"), b""
        while len(out) < total:
            zeros, n = self.take("II")
            out += bytes(zeros) + (self.take(f"{n}s") if n else b"")
        return out

def put_str(text):
    return struct.pack("<H", 0xFFFF) if text is None else struct.pack("<H", len(text.encode())) + text.encode()
def put_bulk(data):
    return struct.pack("<Q", len(data)) + (struct.pack("<II", 0, len(data)) + data if data else b"")
def put_err(code, text):
    return struct.pack("<Iq", code, 0) + put_str(None) * 2 + put_str(text) + struct.pack("<I", 0xFFFFFFFF)
def put_exit(v, kind, before, addr=0, size=0, is_signed=False, value=0):
    number, reply = EXIT[kind]
    valid = HAS_PC_BEFORE | HAS_INSNS | (HAS_VALUE if kind == "mmio_write" else 0)
    return struct.pack("<HBBIBBBBHH15Q", number, reply, is_signed, valid, 0, 4, size, 0, 0, 1, v.insns, before, 0,
                       number, 0, 0, 0, addr, value, *[0] * 6)

# ---- the wire ----
def write_all(data):
    while data:
        data = data[os.write(1, data):]

class Link:
    data, eof, vms, vcpus, max_frame, has_failed = b"", False, {}, {}, 4096, False
    def fill(self):
        before = len(self.data)
        self.data += os.read(0, 1 << 18)
        self.eof = len(self.data) == before
    def kicked(self, v):
        """Has a KICK come, or the end? All other frames stay for later."""
        while select.select([0], [], [], 0)[0] and not self.eof:
            self.fill()
        if len(self.data) >= HEAD.size and HEAD.unpack_from(self.data)[1] == KICK:
            self.kick(HEAD.unpack_from(self.data)[4])
            self.data = self.data[HEAD.size:]
        return v.is_kicked or self.eof
    def kick(self, handle):
        if handle in self.vcpus:
            self.vcpus[handle].is_kicked = True
    def message(self):
        """A message: its first frame's head, and the payloads of all its frames."""
        payload = b""
        while True:
            while len(self.data) < HEAD.size or len(self.data) < HEAD.size + HEAD.unpack_from(self.data)[0]:
                self.fill()
                if self.eof:
                    sys.exit(0)
            head = HEAD.unpack_from(self.data)
            body, self.data = self.data[HEAD.size:HEAD.size + head[0]], self.data[HEAD.size + head[0]:]
            if head[1] == KICK:
                self.kick(head[4])
                continue
            payload += body
            if not head[2] & MORE:
                return head, payload
    def reply(self, head, flags, payload):
        for at in range(0, max(len(payload), 1), self.max_frame):
            part = payload[at:at + self.max_frame]
            more = MORE if at + len(part) < len(payload) else 0
            write_all(HEAD.pack(len(part), head[1], IS_REPLY | flags | more, head[3], head[4]) + part)
    def serve(self):
        while True:
            head, payload = self.message()
            is_chained = head[2] & CHAIN
            self.has_failed = self.has_failed and is_chained
            try:
                if self.has_failed:
                    raise Failed(STATE, "not tried: a request before it failed")
                answer = getattr(self, f"on_{head[1]}", self.on_other)(head[4], Reader(payload))
            except Failed as e:
                self.has_failed = is_chained
                if head[3]:
                    self.reply(head, IS_ERROR, put_err(*e.args))
            else:
                if head[3]:
                    self.reply(head, 0, answer or b"")
    def on_other(self, handle, r):
        raise Failed(UNSUPPORTED, "the toy does not have this operation")
    def on_1(self, handle, r):  # HELLO
        (_, oldest, newest, self.max_frame), name = r.take("IHHI"), r.str()
        if not oldest <= 2 <= newest:
            raise Failed(VERSION, f"this agent speaks version 2 of the protocol, the peer {oldest} to {newest}")
        if name != "toy":
            raise Failed(NOENT, f'no backend "{name}" here, but "toy"')
        return struct.pack("<IHIBQ", 0x666E6F63, 2, 1 << 18, 0, sum(1 << t for t in SERVED)) + put_str("toy")
    def on_2(self, handle, r):  # OPEN
        if r.take("B") != RISCV64:
            raise Failed(UNSUPPORTED, "the toy knows riscv64 alone")
        caps = b"".join(struct.pack("<B", FULL) + put_str(None) if i in CAPS else
                        struct.pack("<B", NONE) + put_str("the toy does not have it") for i in range(NCAPS))
        return struct.pack("<IIIIH", 4096, 1, 64, 0, NCAPS) + caps + struct.pack("<H", 0)
    def on_3(self, handle, r):  # VM_CREATE
        self.vms[handle] = Toy()
    def on_4(self, handle, r):  # VM_DESTROY
        del self.vms[handle]
    def on_5(self, handle, r):  # RAM_CREATE
        ram, size = r.take("IQ")
        self.vms[handle].rams[ram] = bytearray(size)
    def on_6(self, handle, r):  # MAP
        gpa, size, offset, ram, _ = r.take("QQQII")
        self.vms[handle].maps[gpa] = (size, self.vms[handle].rams[ram], offset)
    def on_7(self, handle, r):  # UNMAP
        del self.vms[handle].maps[r.take("QQ")[0]]
    def memory(self, handle, gpa, n):
        if self.vms[handle].at(gpa, n)[0] is None:
            raise Failed(FAULT, f"nothing is mapped at 0x{gpa:x}")
        return self.vms[handle].at(gpa, n)
    def on_8(self, handle, r):  # MEM_READ
        gpa, n = r.take("QQ")
        ram, at = self.memory(handle, gpa, n)
        return put_bulk(bytes(ram[at:at + n]))
    def on_9(self, handle, r):  # MEM_WRITE
        gpa, data = r.take("Q"), r.bulk()
        ram, at = self.memory(handle, gpa, len(data))
        ram[at:at + len(data)] = data
    def on_20(self, handle, r):  # VCPU_CREATE
        self.vcpus[r.take("IBBQQ")[0]] = Vcpu(self.vms[handle])
    def on_21(self, handle, r):  # VCPU_DESTROY
        del self.vcpus[handle]
    def on_22(self, handle, r):  # SETUP
        v = self.vcpus[handle]
        v.x, v.pc, v.due, v.is_setup = [0] * 32, r.take("QQB")[0], None, True
    def on_25(self, handle, r):  # RUN
        v = self.vcpus[handle]
        insns, left_ns, _, _ = r.take("QQBI")
        if v.due or not v.is_setup:
            raise Failed(BUSY if v.due else STATE, "run while a reply is due, or before setup")
        first, until = v.insns, None if left_ns == M64 else os.times().elapsed + left_ns / 1e9
        while v.insns - first < insns:
            if v.insns % 256 == first % 256 and (self.kicked(v) or (until and os.times().elapsed >= until)):
                v.is_kicked = False
                return put_exit(v, "canceled", v.pc)
            before = v.pc
            stop = v.step()
            if stop:
                return put_exit(v, stop[0], before, *stop[1:])
        return put_exit(v, "budget", v.pc)
    def on_26(self, handle, r):  # REPLY
        v = self.vcpus[handle]
        if not v.due:
            raise Failed(STATE, "no reply is due")
        v.answer(r.take("QQQQB")[0])
    def on_28(self, handle, r):  # GET_REGS
        v = self.vcpus[handle]
        return b"".join(reg_get(v, reg_check(r.take("Q"))) for _ in range(r.take("I")))
    def on_29(self, handle, r):  # SET_REGS: all or nothing
        v, pairs = self.vcpus[handle], []
        for _ in range(r.take("I")):
            id_ = reg_check(r.take("Q"))
            pairs.append((id_, r.take(f"{1 << (id_ >> 56 & 15)}s")))
        if v.due:
            raise Failed(BUSY, "a reply is due")
        for id_, data in pairs:
            reg_set(v, id_, data)
    def on_30(self, handle, r):  # REG_LIST
        return struct.pack(f"<I{len(REGS)}Q", len(REGS), *REGS)

link = Link()
try:
    link.serve()
except (struct.error, KeyError, IndexError) as e:  # a payload or an object that does not fit ends it
    write_all(HEAD.pack(len(put_err(PROTO, repr(e))), ABORT, 0, 0, 0) + put_err(PROTO, repr(e)))
    sys.exit(1)
