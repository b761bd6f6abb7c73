-- SPDX-License-Identifier: Apache-2.0
-- interp.lua BENCH_RUN [-n ROUNDS] [--tinyemu TEMU] [--spike SPIKE] [KERNEL...] - `ci/bench interp`: guest programs on our
-- interpreter beside QEMU, beside the same C built for the host and, where they are given, beside the interpreters TinyEMU (temu)
-- and Spike, in turn, ROUNDS times (3). docs/bench.md says what is measured and what was seen.
local bench = dofile("sim/bench/common.lua")
local measure, geomean, verdict, peer = bench.measure, bench.geomean, bench.verdict, bench.peer
bench.bench_run = table.remove(arg, 1)
while arg[1] and arg[1]:sub(1, 1) == "-" do
    local option, value = table.remove(arg, 1), table.remove(arg, 1)
    if option == "-n" and tonumber(value) then
        bench.rounds = tonumber(value)
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

-- Ours must take less than each of the other interpreters; of one that is not here, than it took of QEMU's time elsewhere.
local function kernels_table(list)
    if #list == 0 then return end
    local whos, peers = { "native", "qemu", "interp" }, {}
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
        local ours, million = m.interp.cpu, m.interp.insns / 1e6
        local q, ok = ours / m.qemu.cpu, true
        mips[#mips + 1], to_native[#to_native + 1], to_qemu[#to_qemu + 1] = million / ours, ours / m.native.cpu, q
        if not is_float[name] then integer[#integer + 1] = million / ours end
        bench.note("interp/" .. name, ours, "s", "less")
        bench.note("interp/" .. name .. "/of QEMU's time", q, "", "less")
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
        local m = measure(name, { "qemu", "interp" })
        local empty = measure("empty", { "qemu", "interp" })
        bench.note("interp/" .. name, (m.interp.cpu - empty.interp.cpu) * 1e9 / events[name], "ns", "less")
        print(("| %s | %.1f ns | %.1f ns |"):format(name, (m.qemu.cpu - empty.qemu.cpu) * 1e9 / events[name],
            (m.interp.cpu - empty.interp.cpu) * 1e9 / events[name]))
        io.stdout:flush()
    end
    print("")
end

local function start_table()
    local m = bench.start_ups({ "native", "qemu", "interp" })
    local function cell(who, key)
        return ("%.2f, %.2f ms"):format(m[who][key] * 1e3, m[who].median[key] * 1e3)
    end
    print("| empty guest | native | QEMU | ours |")
    print("|---|---|---|---|")
    for _, key in ipairs({ "wall", "cpu" }) do
        print(("| %s: least, median | %s | %s | %s |"):format(key == "cpu" and "CPU" or key, cell("native", key), cell("qemu", key),
            cell("interp", key)))
    end
    print(("| peak RSS, 128 MiB guest | %.1f MB | %.1f MB | %.1f MB |\n"):format(m.native.rss / 1024, m.qemu.rss / 1024,
        m.interp.rss / 1024))
    bench.note("interp/start", m.interp.wall * 1e3, "ms", "less")
    bench.note("interp/peak RSS", m.interp.rss / 1024, "MB", "less")
    return m.interp
end

bench.build_kernels()
local some_kernels, some_paged = bench.wanted(kernels, only), bench.wanted(paged, only)
local some_events = bench.wanted(event_order, only)
for _, list in ipairs({ some_kernels, some_paged, some_events, { "empty" } }) do
    for _, name in ipairs(list) do bench.build_guest(name) end
end
for _, list in ipairs({ some_kernels, some_paged, { "empty" } }) do
    for _, name in ipairs(list) do bench.build_native(name) end
end
print(("medians of %d; load before: %s\n"):format(bench.rounds, bench.load_average()))
local mips = kernels_table(some_kernels)
kernels_table(some_paged)
events_table(some_events)
local empty = start_table()
print(("load after: %s"):format(bench.load_average()))
if not next(only) then
    print(("geometric mean of the integer kernels of at least %d Mips: %.0f, %s"):format(GOAL_MIPS, mips, verdict(mips >= GOAL_MIPS)))
end
print(("start-up of an empty guest, at most %d ms: %.2f, %s"):format(GOAL_START_MS, empty.wall * 1e3,
    verdict(empty.wall * 1e3 <= GOAL_START_MS)))
print(("peak RSS of an untouched 128 MiB guest, at most %d MB: %.1f, %s"):format(GOAL_RSS_MB, empty.rss / 1024,
    verdict(empty.rss / 1024 <= GOAL_RSS_MB)))
bench.clean()
os.exit(bench.missed == 0)
