-- SPDX-License-Identifier: Apache-2.0
-- header.lua ROOT TEMPLATE OUT - makes conf-backend.h, the header of third-party backends, from the project's own headers, so
-- that a fact stands in one place. It takes their types, enumerations and macros, leaves their prototypes out (a plugin
-- links nothing of ours), writes X-macro lists out as enumerations, and gives every name a prefix: Conf, or CONF_ for a
-- macro or a constant. What it does not understand is an error, never left out.
local root, template, out_path = arg[1], arg[2], arg[3]

local function fail(...)
    io.stderr:write("header.lua: ", string.format(...), "\n")
    os.exit(1)
end

local function read(path)
    local f = io.open(path) or fail("%s: cannot be read", path)
    local text = f:read("a")
    f:close()
    return text
end

-- ---- a header as a list of items {kind = "comment" | "directive" | "code", text} ----
local function skip_comment(text, at)
    local _, stop = text:find("*/", at + 2, true)
    return stop or fail("a comment without an end")
end

local function directive_end(text, at)
    while true do
        local stop = text:find("\n", at, true) or #text
        if text:sub(stop - 1, stop - 1) ~= "\\" then return stop - 1 end
        at = stop + 1
    end
end

-- A comment inside of a directive's line belongs to it, and may go on over lines.
local function directive_at(text, at)
    local stop = directive_end(text, at)
    local open = text:find("/*", at, true)
    if open and open < stop then stop = math.max(stop, skip_comment(text, open)) end
    return stop
end

local function code_end(text, at)
    local depth, is_function = 0, text:find("^static inline", at)
    while at <= #text do
        local two, one = text:sub(at, at + 1), text:sub(at, at)
        if two == "/*" then
            at = skip_comment(text, at)
        elseif one == "{" or one == "(" then
            depth = depth + 1
        elseif one == "}" or one == ")" then
            depth = depth - 1
            if is_function and depth == 0 and one == "}" then return at end
        elseif one == ";" and depth == 0 then
            return at
        end
        at = at + 1
    end
    fail("a declaration without an end")
end

local function items_of(text)
    local items, at = {}, 1
    while true do
        local start = text:find("%S", at)
        if not start then return items end
        local kind = text:sub(start, start + 1) == "/*" and "comment" or text:sub(start, start) == "#" and "directive" or
            "code"
        local stop = kind == "comment" and skip_comment(text, start) or kind == "directive" and directive_at(text, start) or
            code_end(text, start)
        local gap = select(2, text:sub(at, start - 1):gsub("\n", ""))
        items[#items + 1] = { kind = kind, text = text:sub(start, stop), gap = gap }
        at = stop + 1
    end
end

-- ---- X-macro lists ----
local lists = {} -- name -> { {first argument, second argument}, .. }
local x_body = nil -- of `#define X(a, b) body`, as {parameters, body}

local function list_take(text)
    local name, body = text:match("^#define%s+([%w_]+)%(X%)(.*)$")
    if not name then return false end
    local rows = {}
    for arguments in body:gmatch("X(%b())") do
        local row = {}
        for word in arguments:gmatch("[%w_]+") do row[#row + 1] = word end
        rows[#rows + 1] = row
    end
    lists[name] = rows
    return true
end

local function x_apply(row)
    local text = x_body.body:gsub("##", "\0")
    for i, parameter in ipairs(x_body.parameters) do
        text = text:gsub("%z?%f[%w_]" .. parameter .. "%f[^%w_]", function(found)
            return (row[i] or fail("X has too few arguments in a list"))
        end)
    end
    return (text:gsub("%z", ""))
end

local function lists_write_out(text)
    return (text:gsub("(%f[%w_][%w_]+_MAP)%(X%)", function(name)
        local lines = {}
        for _, row in ipairs(lists[name] or fail("%s is not known", name)) do lines[#lines + 1] = "\n    " .. x_apply(row) end
        return table.concat(lines) .. "\n   "
    end))
end

-- ---- names ----
local names = { ACCEL_ABI_VERSION = "CONF_BACKEND_ABI", ACCEL_ABI_MINOR = "CONF_BACKEND_ABI_MINOR", ERR_x = "CONF_ERR_x", HAS_x = "CONF_HAS_x", MAP_x = "CONF_MAP_x" }
local function name_add(name)
    if names[name] or name:find("^%l") or name:find("^Conf") or name:find("^CONF_") then return end
    names[name] = (name:find("^%u[%u%d]*_") or not name:find("%l")) and "CONF_" .. name or "Conf" .. name
end

local function strip(text)
    return (text:gsub("/%*.-%*/", " "))
end

local function names_of_code(text)
    local code = strip(text)
    if code:find("^enum") or code:find("^typedef%s+enum") then
        for word in code:match("{(.*)}"):gsub("=[^,]*", ""):gmatch("[%w_]+") do name_add(word) end
    end
    for tag in code:gmatch("struct%s+(%u[%w_]*)") do name_add(tag) end
    local last = code:find("^typedef") and code:match("([%w_]+)%s*;%s*$")
    if last then name_add(last) end
end

local function rename(text)
    local function word(w) return names[w] or w end
    local result, at = {}, 1
    while at <= #text do
        local open = text:find("/*", at, true)
        result[#result + 1] = text:sub(at, (open or #text + 1) - 1):gsub("[%a_][%w_]*", word)
        if not open then break end
        local stop = skip_comment(text, open)
        result[#result + 1] = text:sub(open, stop):gsub("[%a_][%w_]*", function(w)
            local is_plain_word = w:find("^%u?%l+$") -- "Reply" may start a sentence
            return not is_plain_word and names[w] or w
        end)
        at = stop + 1
    end
    return table.concat(result)
end

-- ---- what is taken of a header ----
local function is_prototype(text)
    local code = strip(text)
    return code:find("%)%s*;%s*$") and not code:find("^typedef") and not code:find("{")
        or code:find("^extern") and not code:find("{") or code:find("^static inline")
end

local GUARDS = { ["ifndef"] = true, ["endif"] = true, ["include"] = true, ["undef"] = true, ["ifdef"] = true }

local function take_directive(text, skipped)
    local word = text:match("^#%s*(%a+)")
    if GUARDS[word] then return nil end
    local parameters, body = text:match("^#define%s+X(%b())%s*(.*)$")
    if parameters then
        x_body = { parameters = {}, body = body }
        for p in parameters:gmatch("[%w_]+") do x_body.parameters[#x_body.parameters + 1] = p end
        return nil
    end
    local name = text:match("^#define%s+([%w_]+)")
    if not name then fail("a directive that is not understood: %s", text) end
    if list_take(text) or skipped[name] or name:find("_H$") then return nil end
    name_add(name)
    return text
end

-- from, to: the text of the comments between which it is taken (NULL: all of it); skip: names that stay at home.
local function take(path, from, to, skip)
    local text = read(root .. "/" .. path)
    local start = from and (text:find(from, 1, true) or fail("%s: no `%s`", path, from)) or
        text:find("*/", 1, true) + 2
    local stop = to and (text:find(to, start, true) or fail("%s: no `%s`", path, to)) - 1 or #text
    local skipped = {}
    for _, name in ipairs(skip or {}) do skipped[name] = true end
    local kept, dropped_last = {}, false
    for _, item in ipairs(items_of(text:sub(start, stop))) do
        local taken = item.text
        if item.kind == "directive" then
            taken = take_directive(item.text, skipped)
        elseif item.kind == "comment" then
            local is_of_dropped = dropped_last and item.gap == 0
            taken = not is_of_dropped and not taken:find("clang-format", 1, true) and taken or nil
            if is_of_dropped then goto continue end
        elseif is_prototype(item.text) or skipped[strip(item.text):match("([%w_]+)%s*;%s*$") or ""] then
            taken = nil
            while kept[#kept] and kept[#kept].kind == "comment" and not kept[#kept].text:find("----", 1, true) and
                kept[#kept].gap > 0 do
                kept[#kept] = nil -- the comment that introduced it
            end
        else
            taken = lists_write_out(taken)
            names_of_code(taken)
        end
        dropped_last = taken == nil
        if taken then kept[#kept + 1] = { kind = item.kind, text = taken, gap = item.gap } end
        ::continue::
    end
    return kept
end

local function show(items)
    local result = {}
    for i, item in ipairs(items) do
        result[#result + 1] = i == 1 and "" or item.gap == 0 and " " or ("\n"):rep(math.min(item.gap, 2))
        result[#result + 1] = item.text
    end
    return (rename(table.concat(result)):gsub(" +\n", "\n"))
end

-- ---- data ----
local function errors()
    local lines = { "enum { /* numbers are stable */" }
    for name, number, sentence in read(root .. "/sim/base/err.def"):gmatch('ERR%((%u+), (%d+), "(.-)"%)') do
        lines[#lines + 1] = ("    CONF_ERR_%s = %s, /* %s */"):format(name, number, sentence)
        name_add("ERR_" .. name)
    end
    lines[#lines + 1] = "};"
    return table.concat(lines, "\n")
end

local function registers(guest)
    local text = read(root .. "/sim/guest/" .. guest .. "/regs.def")
    local lines = { ("\n/* %s: CONF_REG_%s_<name>; a dot of a name is written _ */"):format(guest, guest) }
    local function line(name, value)
        lines[#lines + 1] = ("#define CONF_REG_%s_%s %s"):format(guest, (name:gsub("%.", "_")), value)
    end
    for row in text:gmatch("[^\n]+") do
        local name, class, index, lg2 = row:match("^REG%(([%w_.]+), (%u+), ([%w]+), (%d+),")
        local neutral, target = row:match("^NEUTRAL%(([%w_.]+), ([%w_.]+)%)")
        if name then
            line(name, ("CONF_REG_ID(CONF_GUEST_%s, %s, CONF_REG_%s, %s)"):format(guest, lg2, class, index))
        elseif neutral then
            line(neutral, ("CONF_REG_%s_%s"):format(guest, (target:gsub("%.", "_"))))
        elseif row:find("^REG") or row:find("^NEUTRAL") then
            fail("%s/regs.def: not understood: %s", guest, row)
        end
    end
    return table.concat(lines, "\n")
end

local function rules()
    local text = read(root .. "/accel/accel.h")
    return text:match("( %* Rules that bind every backend:.-)%s*%*/") or fail("accel.h: no rules")
end

local function replies()
    local lines = {}
    for _, row in ipairs(lists.EXIT_MAP) do lines[#lines + 1] = ("        CONF_REPLY_%s, /* %s */"):format(row[2], row[1]) end
    return table.concat(lines, "\n")
end

-- All names first: a later header names types of an earlier one.
local err = take("sim/base/err.h", nil, nil, { "MUST_USE", "PRINTF_LIKE", "ERR", "err_set", "err_native", "err_unsupported" })
for i = #err, 1, -1 do -- the list of errors is written out below, and the analyser's wrappers are no concern of others
    if err[i].kind == "code" and err[i].text:find("^enum") then table.remove(err, i) end
end
local regs = take("sim/guest/regs.h", nil, nil, { "RegInfo" })
local buf = take("sim/base/buf.h", nil, nil, { "Cursor" })
local waist = take("accel/accel.h", "#define ACCEL_ABI_VERSION", "/* ---- lifecycle models", { "Vm", "Vcpu", "RUN_FOREVER" })
local guests = { registers("riscv64"), registers("aarch64"), registers("x86_64") }

local parts = {
    RULES = rename("/*" .. rules() .. "*/"):sub(3, -3),
    ERRORS = errors() .. "\n" .. show(err),
    REGS = show(regs) .. "\n" .. table.concat(guests, "\n"),
    BUF = show(buf),
    WAIST = show(waist),
    REPLIES = replies(),
}
local text = read(root .. "/" .. template):gsub("@(%u+)@", function(part)
    return parts[part] or fail("%s: no part %s", template, part)
end)
local f = io.open(out_path, "w") or fail("%s: cannot be written", out_path)
f:write(text)
f:close()
