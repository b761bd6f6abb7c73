-- SPDX-License-Identifier: Apache-2.0
-- includes.lua - the direction of dependencies (docs/architecture.md): which folder may include which, and where the
-- headers of a host platform or a library may appear. Part of every build; prints file:line for each violation.

-- folder -> folders whose headers it may include, besides its own. The longest matching prefix of a file's folder counts.
local may = {
    ["sim/base"] = {},
    ["sim"] = {
        "sim/base", "sim/ir", "sim/machine", "sim/softmmu", "sim/interp", "sim/jit", "sim/exec", "sim/guest", "sim/devices", "sim/boot",
        "sim/snapshot", "sim/firmware",
    },
    ["sim/bench"] = { "sim", "sim/base" },
    ["sim/lockstep"] = { "sim", "sim/guest", "sim/guest/riscv64", "sim/base" },
    ["sim/crosscheck"] = { "sim", "sim/ir", "sim/jit", "sim/softmmu", "sim/machine", "sim/base" },
    ["sim/softfp"] = { "sim/base" },
    ["sim/ir"] = { "sim/base", "sim/softfp" },
    ["sim/machine"] = { "sim/base" },
    ["sim/softmmu"] = { "sim/ir", "sim/machine", "sim/base" },
    ["sim/jit"] = { "sim/ir", "sim/softmmu", "sim/softfp", "sim/base" },
    ["sim/jit/decode"] = { "sim/jit", "sim/ir", "sim/base", "sim/crosscheck", "sim" }, -- the last two for its tests
    ["sim/interp"] = { "sim/ir", "sim/softmmu", "sim/softfp", "sim/base" },
    ["sim/exec"] = { "sim/interp", "sim/jit", "sim/guest", "sim/ir", "sim/softmmu", "sim/machine", "sim/base" },
    ["sim/guest"] = { "sim/ir", "sim/softmmu", "sim/base" },
    ["sim/guest/riscv64"] = { "sim/guest", "sim/ir", "sim/softmmu", "sim/softfp", "sim/base" },
    ["sim/firmware"] = { "sim/machine", "sim/base" },
    ["sim/devices"] = { "sim/machine", "sim/base" },
    ["sim/boot"] = { "sim/machine", "sim/base" },
    ["sim/snapshot"] = { "sim/exec", "sim/guest", "sim/machine", "sim/ir", "sim/base" },
    ["sim/cmd"] = { "sim", "sim/base", "conformance" }, -- a part of the program, as lua/ is
    ["accel"] = { "sim/base", "sim/guest" },
    ["accel/fake"] = { "accel", "sim/base" },
    ["accel/sim"] = { "accel", "accel/r1", "sim", "sim/base" }, -- accel/r1: blobs, for the tests
    ["accel/kvm"] = { "accel", "sim/base" },
    ["accel/whpx"] = { "accel", "sim/base" },
    ["accel/whpx/double"] = { "accel/whpx", "sim/base" }, -- errors.h; of base the test frame alone: a double is a library of its own
    ["accel/remote"] = { "accel", "sim/base" },
    ["accel/plugin"] = { "accel", "accel/remote", "sim/base" }, -- accel/remote: how a worker finds a backend
    ["accel/plugin/tests"] = {}, -- as a stranger's: nothing of ours but conf-backend.h
    ["docs/examples"] = {},
    ["accel/r1"] = { "accel", "sim/base" },
    ["ci"] = { "accel", "accel/remote", "sim/base" },
    ["coverage"] = { "accel", "sim/base" },
    ["coverage/dashboard"] = { "conformance", "coverage", "coverage/history", "accel", "sim/base" },
    ["coverage/history"] = { "sim/base" },
    ["conformance/llvm"] = {},
    ["conformance"] = {
        "coverage", "coverage/history", "accel", "accel/remote", "accel/plugin", "sim/base", "conformance/llvm",
        "sim/guest", -- exts.h
    },
    ["lua"] = { "conformance", "accel", "accel/remote", "accel/plugin", "sim/base" },
}
-- single files that wire modules together
local wiring = {
    ["conformance/main.c"] = { "lua", "sim/cmd", "coverage/dashboard" },
    ["conformance/diff_test.c"] = { "sim/jit" }, -- spoils what it makes
    ["sim/guest/regs.c"] = { "sim/guest/riscv64" }, -- its regs.def
    ["accel/remote/agent_main.c"] = { "accel/plugin" },
    ["accel/registry.c"] = { "accel/fake", "accel/kvm", "accel/whpx" },
}
-- system header pattern -> folders it may appear in
local only_in = {
    ["^linux/kvm"] = { "accel/kvm", "accel/bench", "accel/whpx/double" },
    ["^llvm%-c/"] = { "conformance/llvm" },
    ["^Zydis/"] = { "sim/jit/decode" },
    ["^lua"] = { "lua" },
    ["^lauxlib"] = { "lua" },
    ["^editline/"] = { "lua" },
    ["^yaml%.h"] = { "conformance" },
    ["^zlib%.h"] = { "sim/boot", "coverage/history" },
    ["^sqlite3%.h"] = { "coverage/history" },
    ["^libpq%-fe%.h"] = { "coverage/history" },
    ["^libslirp%.h"] = { "sim/devices" },
    ["^windows%.h"] = { "sim/base/windows", "accel/whpx", "accel/whpx/double" },
    ["^winhv"] = { "accel/whpx", "accel/whpx/double" },
    ["^linux/if_tun"] = { "sim/devices" },
    ["^dlfcn%.h"] = { "accel/plugin", "accel/kvm/fault", "coverage/history", "conformance", "lua", "sim/devices" },
}
local free_of_words = { ["sim/base"] = true, ["sim/base/windows"] = true, ["accel/whpx/double"] = true, ["conformance/llvm"] = true, ["accel/plugin/tests"] = true, ["docs/examples"] = true }
local banned = { -- words outside sim/base (style: errors and memory go through it)
    "malloc", "calloc", "realloc", "free", "strcpy", "strcat", "sprintf", "vsprintf", "atoi", "strtok", "alloca", "rand",
    "gets",
}

local function has(list, item)
    for _, x in ipairs(list) do
        if x == item then return true end
    end
    return false
end

local function rule_of(folder)
    local best
    for name in pairs(may) do
        if (folder == name or folder:sub(1, #name + 1) == name .. "/") and (not best or #name > #best) then best = name end
    end
    return best
end

local bad = 0
local function complain(file, line, text)
    bad = bad + 1
    io.stderr:write(("%s:%d: %s\n"):format(file, line, text))
end

local function check_include(file, folder, rule, number, kind, path)
    if kind == "<" then
        for pattern, folders in pairs(only_in) do
            if path:find(pattern) and not has(folders, folder) and not has(folders, rule) then
                complain(file, number, ("<%s> belongs in %s only"):format(path, table.concat(folders, ", ")))
            end
        end
        return
    end
    local target = path:match("^(.*)/[^/]*$")
    if not target then return end -- generated, or beside the file
    if target == folder or has(may[rule], target) or has(may[rule], rule_of(target) or "") then return end
    if target:sub(1, #rule) == rule and rule_of(target) == rule then return end
    if has(wiring[file] or {}, rule_of(target) or "") then return end
    complain(file, number, ("%s/ may not include %s/ (%s)"):format(folder, target, path))
end

local function check_file(file)
    local folder = file:match("^(.*)/[^/]*$")
    local rule = rule_of(folder)
    if not rule then return complain(file, 1, "folder has no rule in ci/includes.lua") end
    local number, in_comment = 0, false
    local first
    for line in io.lines(file) do
        number = number + 1
        first = first or (line .. "\n")
        if number <= 2 and line:find("SPDX%-License%-Identifier: Apache%-2%.0") then first = nil end
        local kind, path = line:match('^%s*#%s*include%s+([<"])([^>"]+)')
        if kind then check_include(file, folder, rule, number, kind, path) end
        local code = line:gsub('"[^"]*"', '""'):gsub("//.*", ""):gsub("/%*.-%*/", "")
        if code:find("^%s*%*") or in_comment then code = "" end
        if line:find("/%*") and not line:find("%*/") then in_comment = true end
        if line:find("%*/") then in_comment = false end
        if not free_of_words[rule] then
            for word in code:gmatch("[%w_%.>]+%s*%(") do
                local name = word:match("^([%w_]+)%s*%($")
                if name and has(banned, name) then complain(file, number, name .. "() is for sim/base only") end
            end
        end
    end
    if first and number > 0 then
        local f = io.open(file)
        local head = f:read(200) or ""
        f:close()
        if not head:find("SPDX%-License%-Identifier") then complain(file, 1, "no SPDX line") end
    end
end

local list = io.popen("git ls-files '*.c' '*.h' '*.def'")
for file in list:lines() do check_file(file) end
list:close()
if bad > 0 then os.exit(1) end
