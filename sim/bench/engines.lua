-- SPDX-License-Identifier: Apache-2.0
-- engines.lua BENCH_RUN [-n ROUNDS] [-s SECONDS] [-e ENGINE] [KERNEL...] - `ci/bench engines`: guest programs on an engine of ours
-- (hybrid, else jit) beside QEMU and the same C for the host, in turn, ROUNDS times (3), each kernel repeated until it takes SECONDS (1)
-- natively. docs/performance.md has the goals and what was seen.
local bench = dofile("sim/bench/common.lua")
local measure, geomean, verdict = bench.measure, bench.geomean, bench.verdict
bench.bench_run = table.remove(arg, 1)

local seconds, engine = 1, nil
local options = {
    ["-n"] = function(text) bench.rounds = tonumber(text) end,
    ["-s"] = function(text) seconds = tonumber(text) end,
    ["-e"] = function(text) engine = text end,
}
while options[arg[1]] do
    options[table.remove(arg, 1)](table.remove(arg, 1))
end
local only = {}
for _, name in ipairs(arg) do only[name] = true end
if not engine then
    for name in io.popen(bench.bench_run .. " engines"):lines() do engine = name end -- the last is the best
end

-- The better of RVVM (with its JIT) and TinyEMU over QEMU 7.2, CPU seconds of one run on one machine.
local peers = {
    alu = 0.11 / 0.16, crc32 = 0.62 / 0.71, sha256 = 0.21 / 0.25, sort = 1.26 / 2.15, matmul = 1.54 / 0.80, matfma = 1.36 / 0.65,
    nbody = 2.44 / 1.66, chase = 0.78 / 1.24, memcpy = 1.43 / 2.21, memcpyn = 0.33 / 0.48, strlen = 0.15 / 0.29,
    bytecode = 0.84 / 2.94, virtcall = 0.40 / 1.86, tak = 0.42 / 0.97, tlbmiss = 5.40 / 6.39, ["sv39-alu"] = 0.11 / 0.16,
    ["sv39-sort"] = 1.35 / 2.69, ["sv39-memcpy"] = 1.53 / 2.38, ["sv39-bytecode"] = 0.84 / 2.80, ["sv39-tlbmiss"] = 5.97 / 8.20,
}
local unpaged = {
    "alu", "crc32", "sha256", "sort", "matmul", "matfma", "nbody", "chase", "memcpy", "memcpyn", "strlen", "bytecode", "virtcall",
    "tak", "tlbmiss",
}
local fp = { matmul = true, matfma = true, nbody = true }
local paged = { "sv39-alu", "sv39-crc32", "sv39-sort", "sv39-memcpy", "sv39-bytecode", "sv39-tlbmiss" }
local events = { -- how many, and the goal in ns
    { name = "trap", n = 3000000, goal = 30 }, { name = "mmio", n = 3000000, goal = 15 },
    { name = "csr", n = 10000000, goal = 5 }, { name = "smc", n = 100000, goal = 1000 },
}
local TIE = 1.03
-- speed: of QEMU's at least, the geometric mean and each; native: times native at most, the geometric mean
local GOALS = { unpaged = { speed = 5.5, each = 1.5, native = 1.55 }, paged = { speed = 4.5, each = 1 }, fp = 8, start_ms = 1, rss_mb = 5 }

-- How often a kernel must run to take so many seconds natively, by the least of some runs: the first is of cold caches, others of a
-- processor that is slow just then.
local function times_of(name)
    local times = 1
    while true do
        bench.build_native(name, times)
        local cpu = math.huge
        for _ = 1, 3 do cpu = math.min(cpu, bench.run(bench.command_of("native", name)).cpu) end
        if cpu >= seconds then return times end
        times = math.max(times + 1, math.ceil(times * seconds / math.max(cpu, 0.001)))
    end
end

local function kernels_table(title, list, goal)
    local to_native, to_qemu, to_qemu_fp = {}, {}, {}
    if #list == 0 then return end
    print(("| %s, CPU s | times | Minsn | native | QEMU | %s | Mips | /native | QEMU/ours | peers: QEMU/best | |"):format(title, engine))
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for _, name in ipairs(list) do
        local times = times_of(name)
        bench.build_guest(name, times)
        local m = measure(name, { "native", "qemu", engine })
        local ours, million, speed = m[engine].cpu, m[engine].insns / 1e6, m.qemu.cpu / m[engine].cpu
        local least = math.max(goal.each, peers[name] and 1 / peers[name] or 0)
        to_native[#to_native + 1], to_qemu[#to_qemu + 1] = ours / m.native.cpu, speed
        bench.note(engine .. "/" .. name, ours, "s", "less")
        bench.note(engine .. "/" .. name .. "/of QEMU's time", 1 / speed, "", "less")
        to_qemu_fp[#to_qemu_fp + 1] = fp[name] and speed or nil
        print(("| %s | %d | %.0f | %.3f | %.3f | %.3f | %.0f | %.2f | %.2f | %s | %s |"):format(name, times, million, m.native.cpu,
            m.qemu.cpu, ours, million / ours, ours / m.native.cpu, speed, peers[name] and ("%.2f"):format(1 / peers[name]) or "",
            verdict(speed * TIE >= least)))
        io.stdout:flush()
    end
    local native, speed = geomean(to_native), geomean(to_qemu)
    print(("| geometric mean | | | | | | | %.2f | %.2f | | |\n"):format(native, speed))
    print(("%s: at least %.1f times as fast as QEMU: %.2f, %s"):format(title, goal.speed, speed, verdict(speed >= goal.speed)))
    if goal.native then
        print(("%s: at most %.2f times native: %.2f, %s"):format(title, goal.native, native, verdict(native <= goal.native)))
    end
    if #to_qemu_fp > 0 then
        print(("floating point: at least %.0f times as fast as QEMU: %.2f, %s"):format(GOALS.fp, geomean(to_qemu_fp),
            verdict(geomean(to_qemu_fp) >= GOALS.fp)))
    end
    print("")
end

local function events_table()
    local list = {}
    for _, e in ipairs(events) do
        if not next(only) or only[e.name] then list[#list + 1] = e end
    end
    if #list == 0 then return end
    local empty = measure("empty", { "qemu", engine })
    print(("| event, each | QEMU | %s | at most | |"):format(engine))
    print("|---|---|---|---|---|")
    for _, e in ipairs(list) do
        bench.build_guest(e.name)
        local m = measure(e.name, { "qemu", engine }) -- the checksum says that changed code is what ran
        local ours = (m[engine].cpu - empty[engine].cpu) * 1e9 / e.n
        bench.note(engine .. "/" .. e.name, ours, "ns", "less")
        print(("| %s | %.1f ns | %.1f ns | %d ns | %s |"):format(e.name, (m.qemu.cpu - empty.qemu.cpu) * 1e9 / e.n, ours, e.goal,
            verdict(ours <= e.goal)))
        io.stdout:flush()
    end
    print("")
end

local function start_table()
    local m = bench.start_ups({ "native", "qemu", engine })
    local wall, rss = m[engine].wall * 1e3, m[engine].rss / 1024
    bench.note(engine .. "/start", wall, "ms", "less")
    bench.note(engine .. "/peak RSS", rss, "MB", "less")
    local function cell(who)
        return ("%.2f, %.2f ms"):format(m[who].wall * 1e3, m[who].median.wall * 1e3)
    end
    print(("| empty guest | native | QEMU | %s | at most | |"):format(engine))
    print("|---|---|---|---|---|---|")
    print(("| wall: least, median | %s | %s | %s | %d ms | %s |"):format(cell("native"), cell("qemu"), cell(engine), GOALS.start_ms,
        verdict(wall <= GOALS.start_ms)))
    print(("| peak RSS, 128 MiB guest | %.1f MB | %.1f MB | %.1f MB | %d MB | %s |\n"):format(m.native.rss / 1024, m.qemu.rss / 1024,
        rss, GOALS.rss_mb, verdict(rss <= GOALS.rss_mb)))
end

bench.build_kernels()
bench.build_native("empty")
bench.build_guest("empty")
print(("%s; %s; medians of %d; load before: %s\n"):format(engine,
    io.popen("qemu-system-riscv64 --version"):read("l"):match("version %S+"), bench.rounds, bench.load_average()))
kernels_table("unpaged", bench.wanted(unpaged, only), GOALS.unpaged)
kernels_table("Sv39", bench.wanted(paged, only), GOALS.paged)
events_table()
start_table()
print(("load after: %s; goals missed: %d"):format(bench.load_average(), bench.missed))
bench.clean()
os.exit(bench.missed == 0)
