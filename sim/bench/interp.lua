-- SPDX-License-Identifier: Apache-2.0
-- interp.lua BENCH_RUN [-n ROUNDS] [--tinyemu TEMU] [--spike SPIKE] [KERNEL...] - `ci/bench interp`: guest programs on our
-- interpreter beside QEMU, beside the same C built for the host and, where they are given, beside the interpreters TinyEMU (temu)
-- and Spike, in turn, ROUNDS times (3). docs/bench.md says what is measured and what was seen.
local bench_run = table.remove(arg, 1)
local rounds = 3
local peer = {} -- programs of other interpreters, by name
while arg[1] and arg[1]:sub(1, 1) == "-" do
    local option, value = table.remove(arg, 1), table.remove(arg, 1)
    if option == "-n" and tonumber(value) then
        rounds = tonumber(value)
    elseif (option == "--tinyemu" or option == "--spike") and value then
        peer[option:sub(3)] = value
    else
        io.stderr:write("usage: ci/bench interp [-n ROUNDS] [--tinyemu TEMU] [--spike SPIKE] [KERNEL...]\n")
        os.exit(2)
    end
end
local only = {}
for _, name in ipairs(arg) do only[name] = true end

-- What TinyEMU's interpreter takes, over what QEMU 7.2 takes (CPU seconds, one run on one machine): ours must be less, if there is no
-- TinyEMU to be measured.
local tinyemu = {
    alu = 2.99 / 0.16, crc32 = 3.16 / 0.71, sha256 = 3.16 / 0.25, sort = 5.12 / 2.15, chase = 0.81 / 1.24,
    matmul = 2.96 / 0.80, matfma = 2.90 / 0.65, nbody = 5.00 / 1.66,
    memcpy = 1.43 / 2.21, memcpyn = 1.52 / 0.48, strlen = 2.38 / 0.29, bytecode = 8.33 / 2.94, virtcall = 2.93 / 1.86,
    tak = 3.03 / 0.97, tlbmiss = 5.59 / 6.39, ["sv39-alu"] = 2.94 / 0.16, ["sv39-sort"] = 5.11 / 2.69,
    ["sv39-memcpy"] = 1.53 / 2.38, ["sv39-bytecode"] = 7.64 / 2.80, ["sv39-tlbmiss"] = 6.20 / 8.20,
}
local kernels = {
    "alu", "crc32", "sha256", "sort", "bytecode", "virtcall", "tak", "strlen", "chase", "memcpy", "memcpyn", "tlbmiss",
    "matmul", "matfma", "nbody",
}
local paged = { "sv39-alu", "sv39-sort", "sv39-memcpy", "sv39-bytecode", "sv39-tlbmiss" }
local events = { trap = 3000000, mmio = 3000000, csr = 10000000, smc = 100000 }
local event_order = { "trap", "mmio", "csr", "smc" }
local is_float = { matmul = true, matfma = true, nbody = true }
local GOAL_MIPS, GOAL_START_MS, GOAL_RSS_MB = 550, 2, 5

local function fail(...)
    io.stderr:write("bench: ", string.format(...), "\n")
    os.exit(1)
end

local function sh(...)
    local command = string.format(...)
    if not os.execute(command) then fail("failed: %s", command) end
end

-- ---- build ----
local work = io.popen("mktemp -d"):read("l")
local source = "sim/bench/guest/"
local opt = "-O2 -std=gnu11 -Wall -Wextra -I. -ffreestanding -fno-tree-loop-distribute-patterns -fno-stack-protector"
    .. " -ffp-contract=off -fno-math-errno -ffunction-sections -fdata-sections" -- a program holds its own kernel's data only
local rv = "riscv64-linux-gnu-gcc " .. opt .. " -march=rv64imafdc_zicsr_zifencei -mabi=lp64d -mcmodel=medany -fno-pic -fno-pie"

local function elf_of(name)
    return work .. "/" .. name .. ".elf"
end

local function link_guest(name, elf, defines)
    local kernel = name:gsub("^sv39%-", "")
    sh("%s -nostdlib -static -T %slink.ld -Wl,--build-id=none,--gc-sections -Wl,--no-warn-rwx-segments %s %s -DKERNEL=%s %scrt0.S"
        .. " %sbare.c %s/kernels.o %s/events.o -o %s", rv, source, kernel ~= name and "-DSV39" or "", defines, kernel, source,
        source, work, work, elf)
end

local function build_guest(name)
    link_guest(name, elf_of(name), "")
    if peer.tinyemu then -- it takes flat images, and has no UART
        local base = work .. "/" .. name .. ".tinyemu"
        link_guest(name, base .. ".elf", "-DHTIF=0x40008000ull")
        sh("riscv64-linux-gnu-objcopy -O binary %s.elf %s.bin", base, base)
        local config = assert(io.open(base, "w"))
        config:write(('{version: 1, machine: "riscv64", memory_size: 128, bios: "%s.bin"}\n'):format(base))
        config:close()
    end
end

local function build_native(name)
    sh("cc %s -static -DKERNEL=%s %snative.c %s/native.o -o %s/%s", opt:gsub(" %-ffreestanding", ""), name, source, work,
        work, name)
end

-- ---- one run ----
-- checksum, instructions, CPU seconds, wall seconds, KiB
local function run(command)
    local pipe = io.popen(("%s usage %s </dev/null 2>&1"):format(bench_run, command))
    local text = pipe:read("a"):gsub("\r", "")
    pipe:close()
    local sum, insns = text:match("[%w-]+ (%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x) (%d+)\n")
    local cpu, wall, rss = text:match("usage (%d+) (%d+) (%d+)\n")
    if not sum or not cpu then fail("no result of %s:\n%s", command, text) end
    return { sum = sum, insns = tonumber(insns), cpu = cpu / 1e6, wall = wall / 1e6, rss = tonumber(rss) }
end

local function command_of(who, name)
    if who == "native" then return work .. "/" .. name:gsub("^sv39%-", "") end
    if who == "conf" then return bench_run .. " guest " .. elf_of(name) end
    if who == "tinyemu" then return ("%s %s/%s.tinyemu"):format(peer.tinyemu, work, name) end
    if who == "spike" then return ("%s --isa=rv64gc_zicntr -m0x80000000:0x8000000 %s"):format(peer.spike, elf_of(name)) end
    return "qemu-system-riscv64 -M virt -bios none -nographic -m 128 -kernel " .. elf_of(name)
end

local function median(list)
    table.sort(list)
    return list[(#list + 1) // 2]
end

local function least(list)
    return math.min(table.unpack(list))
end

-- By who runs it, all of one kernel in turn: of each figure the median, or what `pick` takes.
local function measure(name, whos, pick)
    local seen, out = {}, {}
    for _ = 1, rounds do
        for _, who in ipairs(whos) do
            local r = run(command_of(who, name))
            seen[who] = seen[who] or { cpu = {}, wall = {}, rss = {} }
            for key, list in pairs(seen[who]) do list[#list + 1] = r[key] end
            out[who] = out[who] or { sum = r.sum, insns = r.insns }
            if r.sum ~= out[whos[1]].sum then fail("%s on %s: %s, expected %s", name, who, r.sum, out[whos[1]].sum) end
        end
    end
    for who, lists in pairs(seen) do
        for key, list in pairs(lists) do out[who][key] = (pick or median)(list) end
    end
    return out
end

-- ---- tables ----
local function geomean(list)
    local sum = 0
    for _, x in ipairs(list) do sum = sum + math.log(x) end
    return math.exp(sum / #list)
end

local missed = 0
local function verdict(ok)
    if not ok then missed = missed + 1 end
    return ok and "met" or "MISSED"
end

local function wanted(list)
    if not next(only) then return list end
    local out = {}
    for _, name in ipairs(list) do
        if only[name] then out[#out + 1] = name end
    end
    return out
end

-- Ours must take less than each of the other interpreters; of one that is not here, than it took of QEMU's time elsewhere.
local function kernels_table(list)
    if #list == 0 then return end
    local whos, peers = { "native", "qemu", "conf" }, {}
    for _, who in ipairs({ "tinyemu", "spike" }) do
        if peer[who] then
            whos[#whos + 1] = who
            peers[#peers + 1] = who
        end
    end
    local mips, to_native, to_qemu, to_peer, integer = {}, {}, {}, {}, {}
    local head = "| CPU s | Minsn | native | QEMU | ours | Mips | ours/native | ours/QEMU |"
    for _, who in ipairs(peers) do head = head .. (" %s | ours/%s |"):format(who, who) end
    if not peer.tinyemu then head = head .. " TinyEMU/QEMU, recorded |" end
    print(head .. " |")
    print((head:gsub("[^|]+", "---")) .. "---|")
    for _, name in ipairs(list) do
        local m = measure(name, whos)
        local ours, million = m.conf.cpu, m.conf.insns / 1e6
        local q, ok = ours / m.qemu.cpu, true
        mips[#mips + 1], to_native[#to_native + 1], to_qemu[#to_qemu + 1] = million / ours, ours / m.native.cpu, q
        if not is_float[name] then integer[#integer + 1] = million / ours end
        local row = ("| %s | %.0f | %.3f | %.3f | %.3f | %.0f | %.1f | %.2f |"):format(name, million, m.native.cpu, m.qemu.cpu, ours,
            million / ours, ours / m.native.cpu, q)
        for _, who in ipairs(peers) do
            local r = ours / m[who].cpu
            to_peer[who] = to_peer[who] or {}
            table.insert(to_peer[who], r)
            row = row .. (" %.3f | %.2f |"):format(m[who].cpu, r)
            ok = ok and r < 1
        end
        if not peer.tinyemu then
            row = row .. (" %.2f |"):format(tinyemu[name])
            ok = ok and q < tinyemu[name]
        end
        print(("%s %s |"):format(row, verdict(ok)))
        io.stdout:flush()
    end
    local row = ("| geometric mean | | | | | %.0f | %.1f | %.2f |"):format(geomean(mips), geomean(to_native), geomean(to_qemu))
    for _, who in ipairs(peers) do row = row .. (" | %.2f |"):format(geomean(to_peer[who])) end
    if not peer.tinyemu then row = row .. " |" end
    print(row .. " |\n")
    return geomean(integer)
end

local function events_table(list)
    if #list == 0 then return end
    print("| event, each | QEMU | ours |")
    print("|---|---|---|")
    for _, name in ipairs(list) do
        local m = measure(name, { "qemu", "conf" })
        local empty = measure("empty", { "qemu", "conf" })
        print(("| %s | %.1f ns | %.1f ns |"):format(name, (m.qemu.cpu - empty.qemu.cpu) * 1e9 / events[name],
            (m.conf.cpu - empty.conf.cpu) * 1e9 / events[name]))
        io.stdout:flush()
    end
    print("")
end

local function start_table()
    local m = measure("empty", { "native", "qemu", "conf" }, least)
    print("| empty guest | native | QEMU | ours |")
    print("|---|---|---|---|")
    print(("| wall | %.2f ms | %.2f ms | %.2f ms |"):format(m.native.wall * 1e3, m.qemu.wall * 1e3, m.conf.wall * 1e3))
    print(("| CPU | %.2f ms | %.2f ms | %.2f ms |"):format(m.native.cpu * 1e3, m.qemu.cpu * 1e3, m.conf.cpu * 1e3))
    print(("| peak RSS, 128 MiB guest | %.1f MB | %.1f MB | %.1f MB |\n"):format(m.native.rss / 1024, m.qemu.rss / 1024,
        m.conf.rss / 1024))
    return m.conf
end

local function load_average()
    return io.open("/proc/loadavg"):read("l"):match("^%S+ %S+ %S+")
end

sh("%s -c %skernels.c -o %s/kernels.o", rv, source, work)
sh("%s -c %sbare_events.c -o %s/events.o", rv, source, work)
sh("cc %s -c %skernels.c -o %s/native.o", opt, source, work)
local some_kernels, some_paged, some_events = wanted(kernels), wanted(paged), wanted(event_order)
for _, list in ipairs({ some_kernels, some_paged, some_events, { "empty" } }) do
    for _, name in ipairs(list) do build_guest(name) end
end
for _, list in ipairs({ some_kernels, some_paged, { "empty" } }) do
    for _, name in ipairs(list) do build_native((name:gsub("^sv39%-", ""))) end
end
print(("medians of %d (start-up: least); load before: %s\n"):format(rounds, load_average()))
local mips = kernels_table(some_kernels)
kernels_table(some_paged)
events_table(some_events)
local empty = start_table()
print(("load after: %s"):format(load_average()))
if not next(only) then
    print(("geometric mean of the integer kernels of at least %d Mips: %.0f, %s"):format(GOAL_MIPS, mips, verdict(mips >= GOAL_MIPS)))
end
print(("start-up of an empty guest, at most %d ms: %.2f, %s"):format(GOAL_START_MS, empty.wall * 1e3,
    verdict(empty.wall * 1e3 <= GOAL_START_MS)))
print(("peak RSS of an untouched 128 MiB guest, at most %d MB: %.1f, %s"):format(GOAL_RSS_MB, empty.rss / 1024,
    verdict(empty.rss / 1024 <= GOAL_RSS_MB)))
sh("rm -rf %s", work)
os.exit(missed == 0)
