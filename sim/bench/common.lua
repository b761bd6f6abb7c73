-- SPDX-License-Identifier: Apache-2.0
-- common.lua: builds the guest programs of sim/bench/guest and the same C for the host, runs
-- them, and takes the times of whole processes by wait4 (bench_run usage).
local M = { rounds = 3, peer = {} } -- peer: programs of other simulators, by name: tinyemu, spike

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

function M.elf_of(name)
    return work .. "/" .. name .. ".elf"
end

local function plain(name)
    return (name:gsub("^sv39%-", ""))
end

local function link_guest(name, elf, times, defines)
    local kernel = plain(name)
    sh("%s -nostdlib -static -T %slink.ld -Wl,--build-id=none,--gc-sections -Wl,--no-warn-rwx-segments %s %s -DKERNEL=%s -DTIMES=%d"
        .. " %scrt0.S %sbare.c %s/kernels.o %s/events.o -o %s", rv, source, kernel ~= name and "-DSV39" or "", defines, kernel,
        times or 1, source, source, work, work, elf)
end

-- times: how often the kernel is run (1)
function M.build_guest(name, times)
    link_guest(name, M.elf_of(name), times, "")
    if M.peer.tinyemu then -- it takes flat images, and has no UART
        local base = work .. "/" .. name .. ".tinyemu"
        link_guest(name, base .. ".elf", times, "-DHTIF=0x40008000ull")
        sh("riscv64-linux-gnu-objcopy -O binary %s.elf %s.bin", base, base)
        local config = assert(io.open(base, "w"))
        config:write(('{version: 1, machine: "riscv64", memory_size: 128, bios: "%s.bin"}\n'):format(base))
        config:close()
    end
end

function M.build_native(name, times)
    sh("cc %s -static -DKERNEL=%s -DTIMES=%d %snative.c %s/native.o -o %s/%s", opt:gsub(" %-ffreestanding", ""), plain(name),
        times or 1, source, work, work, plain(name))
end

function M.build_kernels()
    sh("%s -c %skernels.c -o %s/kernels.o", rv, source, work)
    sh("%s -c %sbare_events.c -o %s/events.o", rv, source, work)
    sh("cc %s -c %skernels.c -o %s/native.o", opt, source, work)
end

function M.clean()
    sh("rm -rf %s", work)
end

-- ---- one run ----
local function figures(text, key)
    local cpu, wall, rss = text:match(key .. " (%d+) (%d+) (%d+)\n")
    return cpu and { cpu = cpu / 1e6, wall = wall / 1e6, rss = tonumber(rss) }
end

local function usage(options, command)
    local pipe = io.popen(("%s usage %s%s </dev/null 2>&1"):format(M.bench_run, options, command))
    local text = pipe:read("a"):gsub("\r", "")
    pipe:close()
    local out = figures(text, "usage")
    local sum, insns = text:match("[%w-]+ (%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x) (%d+)\n")
    if not sum or not out then fail("no result of %s:\n%s", command, text) end
    out.sum, out.insns, out.median = sum, tonumber(insns), figures(text, "median")
    return out
end

-- checksum, instructions, CPU seconds, wall seconds, KiB
function M.run(command)
    return usage("", command)
end

-- who: native, qemu, a peer, or an engine of ours
function M.command_of(who, name)
    if who == "native" then return work .. "/" .. plain(name) end
    if who == "qemu" then return "qemu-system-riscv64 -M virt -bios none -nographic -m 128 -kernel " .. M.elf_of(name) end
    if who == "tinyemu" then return ("%s %s/%s.tinyemu"):format(M.peer.tinyemu, work, name) end
    if who == "spike" then return ("%s --isa=rv64gc_zicntr -m0x80000000:0x8000000 %s"):format(M.peer.spike, M.elf_of(name)) end
    return ("%s guest %s %s"):format(M.bench_run, M.elf_of(name), who)
end

function M.median(list)
    table.sort(list)
    return list[(#list + 1) // 2]
end

-- By who runs it, all of one kernel in turn: of each figure the median.
function M.measure(name, whos)
    local seen, out = {}, {}
    for _ = 1, M.rounds do
        for _, who in ipairs(whos) do
            local r = M.run(M.command_of(who, name))
            seen[who] = seen[who] or { cpu = {}, wall = {}, rss = {} }
            for key, list in pairs(seen[who]) do list[#list + 1] = r[key] end
            out[who] = out[who] or { sum = r.sum, insns = r.insns }
            if r.sum ~= out[whos[1]].sum then fail("%s on %s: %s, expected %s", name, who, r.sum, out[whos[1]].sum) end
        end
    end
    for who, lists in pairs(seen) do
        for key, list in pairs(lists) do out[who][key] = M.median(list) end
    end
    return out
end

-- ---- start-up ----
-- An empty program takes less than what a shell and a cold cache add to it: so many runs in a row, of each program in turn.
local STARTS, SLOW_STARTS, SLOW = 200, 50, 0.01 -- runs; runs of what takes so many seconds

-- By who runs it, of `empty`: the least of wall, cpu and rss, and `median` with those.
function M.start_ups(whos)
    local out = {}
    for _, who in ipairs(whos) do
        local first = M.run(M.command_of(who, "empty"))
        out[who] = { n = first.wall > SLOW and SLOW_STARTS or STARTS, median = { wall = {}, cpu = {}, rss = {} } }
    end
    for _ = 1, M.rounds do
        for _, who in ipairs(whos) do
            local o = out[who]
            local r = usage(("-n %d "):format(o.n), M.command_of(who, "empty"))
            for key, list in pairs(o.median) do
                list[#list + 1] = r.median[key]
                o[key] = math.min(o[key] or math.huge, r[key])
            end
        end
    end
    for _, o in pairs(out) do
        for key, list in pairs(o.median) do o.median[key] = M.median(list) end
    end
    return out
end

-- ---- numbers ----
function M.geomean(list)
    local sum = 0
    for _, x in ipairs(list) do sum = sum + math.log(x) end
    return math.exp(sum / #list)
end

M.missed = 0
function M.verdict(ok)
    if not ok then M.missed = M.missed + 1 end
    return ok and "met" or "MISSED"
end

-- Those of the list that are named on the command line; all if none is.
function M.wanted(list, only)
    if not next(only) then return list end
    local out = {}
    for _, name in ipairs(list) do
        if only[name] then out[#out + 1] = name end
    end
    return out
end

-- For the history: a line of the file that `ci/bench --history` names. better: "less" or "more".
function M.note(name, value, unit, better)
    local path = os.getenv("CONF_BENCH_OUT")
    local file = path and assert(io.open(path, "a"))
    if file then
        file:write(("%s\t%.6g\t%s\t%s\n"):format(name, value, unit, better))
        file:close()
    end
end

function M.load_average()
    return io.open("/proc/loadavg"):read("l"):match("^%S+ %S+ %S+")
end

return M
