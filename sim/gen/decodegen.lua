-- SPDX-License-Identifier: Apache-2.0
-- decodegen.lua - decode tables to C: decoder, operand extraction, dispatch to translators, assembly text, names.
--
--   lua5.4 decodegen.lua PREFIX OUT.h OUT.c IN.decode...       the files are one table
--
-- A .decode file, one item a line ('#' starts a comment; a line that starts with white space goes on with the one before):
--
--   %NAME  LSB:[s]LEN ... [<<N] [+N]     field: pieces, most significant first; s: the first piece is signed
--   &NAME  ARG:KIND ...                  argument set: names, and for each the printer of its text, PREFIX_asm_KIND
--   @NAME  BITS [&SET] [ARG=%FIELD] [%FIELD] [ARG=CONST]          format. BITS, most significant first:
--                                        0 1 fixed, . in a field, - ignored; blanks are free
--   NAME   BITS [@FORMAT] [...as a format...] :EXT [tr=FN] [op=OP] "TEXT"
--                                        row: an instruction of extension EXT. FN (default: the name) is the translator
--                                        PREFIX_tr_FN(t, args[, IR_OP]); TEXT holds {ARG} where an operand is printed, or
--                                        {ARG:KIND} by another printer than the argument set's.
--       | ARG=CONST ... "TEXT"           alias of the row above: its text when the operands are so (ARG=ARG: are equal).
--                                        The first that applies is printed.
--   NAME   BITS ... :EXT as=ROW          row that stands for another, defined above it: its translator, op, texts and
--                                        argument set. Its own aliases, if any, go before the other's
--   !      BITS "WHY"                    reserved: nothing, though it lies inside a row of the same group
--   { ... }                              group, on lines of their own: its rows may overlap, the first match wins
--
-- Widths are 16 and 32 bits. A mistake ends with file:line: and, where two lines disagree, both.
local prefix, out_h, out_c = arg[1], arg[2], arg[3]
local UPPER = prefix and prefix:upper()

local here = { file = "?", line = 0 } -- where the item that is being read starts
local function die_at(at, ...)
    io.stderr:write(("%s:%d: %s\n"):format(at.file, at.line, string.format(...)))
    os.exit(1)
end
local function die(...) die_at(here, ...) end
local function place(at) return ("%s:%d"):format(at.file, at.line) end
local function place_of_here() return { file = here.file, line = here.line } end

-- ---- the table ----
local fields, argsets, formats = {}, {}, {}
local rows, row_named = {}, {} -- in order; reserved ones have no name
local group                    -- the open group: where it started

local function define(list, sigil, name, item)
    if list[name] then die("%s%s is defined twice, first at %s", sigil, name, place(list[name].at)) end
    item.at = place_of_here()
    list[name] = item
end

local function mask_of(lsb, len) return ((1 << len) - 1) << lsb end

local function parse_field(name, rest)
    local f = { pieces = {}, shift = 0, add = 0, bits = 0, len = 0 }
    for token in rest:gmatch("%S+") do
        local lsb, s, len = token:match("^(%d+):(s?)(%d+)$")
        local shift, add = token:match("^<<(%d+)$"), token:match("^%+(%d+)$")
        if lsb then
            local p = { lsb = tonumber(lsb), len = tonumber(len), signed = s == "s" }
            if p.len == 0 or p.lsb + p.len > 32 then die("%%%s: %s is not within 32 bits", name, token) end
            if p.signed and #f.pieces > 0 then die("%%%s: only the first piece can be signed", name) end
            local bits = mask_of(p.lsb, p.len)
            if f.bits & bits ~= 0 then die("%%%s: %s uses a bit twice", name, token) end
            f.bits, f.len = f.bits | bits, f.len + p.len
            f.pieces[#f.pieces + 1] = p
        elseif shift then
            f.shift = tonumber(shift)
        elseif add then
            f.add = tonumber(add)
        else
            die("%%%s: expected LSB:[s]LEN, <<N or +N, got %s", name, token)
        end
    end
    if #f.pieces == 0 then die("%%%s has no piece", name) end
    if f.len + f.shift > 32 then die("%%%s: %d bits, more than 32", name, f.len + f.shift) end
    if f.pieces[1].signed then
        f.least, f.most = -(1 << (f.len - 1)) << f.shift, ((1 << (f.len - 1)) - 1) << f.shift
    else
        f.least, f.most = 0, ((1 << f.len) - 1) << f.shift
    end
    f.least, f.most = f.least + f.add, f.most + f.add
    define(fields, "%", name, f)
end

local function parse_argset(name, rest)
    local set = { order = {}, kind = {} }
    for token in rest:gmatch("%S+") do
        local a, kind = token:match("^([%a_][%w_]*):([%a_][%w_]*)$")
        if not a then die("&%s: expected ARG:KIND, got %s", name, token) end
        if set.kind[a] then die("&%s: argument %s is there twice", name, a) end
        set.order[#set.order + 1], set.kind[a] = a, kind
    end
    define(argsets, "&", name, set)
end

local function parse_number(text)
    local n = math.tointeger(tonumber(text))
    if n and (n < -0x80000000 or n > 0x7fffffff) then die("constant %s is out of the range of int32_t", text) end
    return n
end

local function bind(item, name, value)
    if item.sets[name] then die("argument %s is bound twice", name) end
    item.sets[name] = value
    item.set_order[#item.set_order + 1] = name
end

-- The tokens of a format, row or reserved line.
local function parse_item(rest)
    local item = { sets = {}, set_order = {}, at = place_of_here() }
    local text = rest:match('"([^"]*)"')
    item.text = text
    rest = rest:gsub('"[^"]*"', "", 1)
    if rest:find('"', 1, true) then die("text without its closing quote") end
    local bits = {}
    for token in rest:gmatch("%S+") do
        local a, f = token:match("^([%a_][%w_]*)=%%([%w_]+)$")
        local c, v = token:match("^([%a_][%w_]*)=(%-?[%w_]+)$")
        if token:find("^[01.%-]+$") then
            bits[#bits + 1] = token
        elseif a or token:sub(1, 1) == "%" then
            a, f = a or token:sub(2), f or token:sub(2)
            if not fields[f] then die("there is no field %%%s", f) end
            bind(item, a, { field = fields[f], fname = f })
        elseif token:sub(1, 1) == "&" then
            item.args = argsets[token:sub(2)] or die("there is no argument set %s", token)
        elseif token:sub(1, 1) == "@" then
            item.format = formats[token:sub(2)] or die("there is no format %s", token)
        elseif token:sub(1, 1) == ":" then
            item.ext = token:sub(2)
            if not item.ext:find("^%a[%w_]*$") then die("%s is not the name of an extension", token) end
        elseif c == "tr" or c == "op" then
            if not v:find("^[%a_][%w_]*$") then die("%s is not a name", token) end
            item[c] = v
        elseif token:find("^as=") then
            item.as = token:sub(4)
        elseif c and parse_number(v) then
            bind(item, c, { const = parse_number(v) })
        else
            die("what is %s?", token)
        end
    end
    local s = table.concat(bits)
    item.width, item.mask, item.value, item.dots, item.free = #s, 0, 0, 0, 0
    for i = 1, #s do
        local ch, bit = s:sub(i, i), 1 << (#s - i)
        if ch == "0" or ch == "1" then item.mask = item.mask | bit end
        if ch == "1" then item.value = item.value | bit end
        if ch == "." then item.dots = item.dots | bit end
        if ch == "-" then item.free = item.free | bit end
    end
    return item
end

-- A row or format inherits what it does not say from its format; bits that both fix must agree.
local function inherit(name, item)
    local f = item.format
    if not f then return end
    if f.width ~= item.width then
        die("%s has %d bits, its format (%s) has %d", name, item.width, place(f.at), f.width)
    end
    if (item.mask & f.mask & (item.value ~ f.value)) ~= 0 then
        die("%s fixes bits otherwise than its format (%s)", name, place(f.at))
    end
    item.mask, item.value = item.mask | f.mask, item.value | f.value
    item.free = (item.free | f.free) & ~item.mask
    item.dots = (item.dots | f.dots) & ~item.mask & ~item.free
    for _, a in ipairs(f.set_order) do
        if not item.sets[a] then bind(item, a, f.sets[a]) end
    end
    item.args = item.args or f.args
end

local function bit_number(bits)
    for i = 31, 0, -1 do
        if bits & (1 << i) ~= 0 then return i end
    end
end

-- Every '.' lies in exactly one field, and a field lies on dots only.
local function check_bits(name, item)
    local used, seen = 0, {}
    for _, a in ipairs(item.set_order) do
        local f = item.sets[a].field
        if f then
            if f.bits >> item.width ~= 0 then die("%s: field %%%s lies outside its %d bits", name, item.sets[a].fname, item.width) end
            if f.bits & item.mask ~= 0 then
                die("%s: field %%%s (%s) lies over fixed bit %d", name, item.sets[a].fname, place(f.at), bit_number(f.bits & item.mask))
            end
            if f.bits & item.free ~= 0 then
                die("%s: field %%%s (%s) lies over bit %d, which is ignored", name, item.sets[a].fname, place(f.at),
                    bit_number(f.bits & item.free))
            end
            for _, other in ipairs(seen) do
                if other.field ~= f and other.field.bits & f.bits ~= 0 then
                    die("%s: fields %%%s and %%%s both use bit %d", name, other.fname, item.sets[a].fname,
                        bit_number(other.field.bits & f.bits))
                end
            end
            seen[#seen + 1] = item.sets[a]
            used = used | f.bits
        end
    end
    local lost = item.dots & ~used
    if lost ~= 0 then die("%s: bit %d is in no field; write '-' if it is ignored", name, bit_number(lost)) end
end

local function check_args(name, item, set)
    for _, a in ipairs(item.set_order) do
        if not set.kind[a] then die("%s binds %s, which is not in its argument set (%s)", name, a, set.at and place(set.at) or "none") end
    end
    for _, a in ipairs(set.order) do
        if not item.sets[a] then die("%s does not bind %s of its argument set (%s)", name, a, place(set.at)) end
    end
end

local function text_args(name, text, set)
    local seen = {}
    for inside in text:gmatch("{([^}]*)}") do
        local a = inside:match("^([%w_]+):[%a_][%w_]*$") or inside
        if not set.kind[a] then die("%s: the text names {%s}, which is not in its argument set", name, a) end
        seen[a] = true
    end
    if text:gsub("{[%w_:]+}", ""):find("[{}]") then die("%s: unpaired brace in the text", name) end
    return seen
end

local NONE = { order = {}, kind = {} }
local function check_texts(row)
    local seen = text_args(row.name, row.text, row.args)
    for _, a in ipairs(row.args.order) do
        if not seen[a] then die("%s: the text does not use {%s}", row.name, a) end
    end
end

local function add_row(name, rest)
    local row = parse_item(rest)
    row.name, row.group, row.aliases = name, group, {}
    if row.width ~= 16 and row.width ~= 32 then die("%s has %d bits, expected 16 or 32", name, row.width) end
    inherit(name, row)
    if not row.ext then die("%s has no :EXT", name) end
    if row_named[name] then die("%s is defined twice, first at %s", name, place(row_named[name].at)) end
    if row.as then
        if row.text or row.tr or row.op or row.args then die("%s: as= leaves no place for a text, tr=, op= or &SET", name) end
        row.target = row_named[row.as] or die("%s: there is no row %s above", name, row.as)
        if row.target.as then die("%s: %s (%s) stands for another row itself", name, row.as, place(row.target.at)) end
        row.args = row.target.args
        check_args(name, row, row.args)
    else
        row.args = row.args or NONE
        if not row.text then die("%s has no assembly text", name) end
        check_args(name, row, row.args)
        check_texts(row)
    end
    check_bits(name, row)
    row_named[name] = row
    rows[#rows + 1] = row
end

local function add_reserved(rest)
    local row = parse_item(rest)
    if row.width ~= 16 and row.width ~= 32 then die("! has %d bits, expected 16 or 32", row.width) end
    if not group then die("! stands outside of a group") end
    if not row.text then die("! does not say why") end
    row.group = group
    rows[#rows + 1] = row
end

local function add_alias(rest)
    local row = rows[#rows]
    if not row or not row.name then die("an alias stands below the row with the text that it replaces") end
    local text = rest:match('"([^"]*)"')
    if not text then die("the alias of %s has no text", row.name) end
    local alias = { text = text, conds = {}, at = place_of_here() }
    local fixed = {}
    for token in rest:gsub('"[^"]*"', ""):gmatch("%S+") do
        local a, v = token:match("^([%a_][%w_]*)=(%-?[%w_]+)$")
        if not a then die("expected ARG=CONST or ARG=ARG, got %s", token) end
        if not row.args.kind[a] then die("%s is not an argument of %s", a, row.name) end
        local n = parse_number(v)
        if not n and not row.args.kind[v] then die("%s is neither a constant nor an argument of %s", v, row.name) end
        local f = row.sets[a].field
        if n and f and (n < f.least or n > f.most) then
            die("%s=%d can never be: %%%s holds %d to %d", a, n, row.sets[a].fname, f.least, f.most)
        end
        fixed[a] = true
        alias.conds[#alias.conds + 1] = { a = a, n = n, b = not n and v or nil }
    end
    local seen, known = text_args(row.name, text, row.args), {}
    for _, a in ipairs(row.args.order) do
        local f = row.sets[a].field
        if f and (seen[a] or fixed[a]) then known[f] = true end
    end
    for _, a in ipairs(row.args.order) do
        local f = row.sets[a].field -- a constant, and a field that another argument shows, are not lost
        if f and not seen[a] and not fixed[a] and not known[f] then die("the alias of %s loses {%s}", row.name, a) end
    end
    local function key(c) return c.a .. "=" .. tostring(c.n or c.b) end
    local mine = {}
    for _, c in ipairs(alias.conds) do mine[key(c)] = true end
    for _, other in ipairs(row.aliases) do
        local covered = true
        for _, c in ipairs(other.conds) do covered = covered and mine[key(c)] end
        if covered then die("the alias is never printed: %s applies first", place(other.at)) end
    end
    row.aliases[#row.aliases + 1] = alias
end

local function parse_line(line)
    local sigil, name, rest = line:match("^([%%&@]?)([%a_][%w_.]*)%s+(.+)$")
    if line:find("^{%s*$") then
        if group then die("a group inside the group of %s", place(group)) end
        group = place_of_here()
    elseif line:find("^}%s*$") then
        if not group then die("} without {") end
        group = nil
    elseif line:find("^!%s") then
        add_reserved(line:sub(2))
    elseif line:find("^|%s") then
        add_alias(line:sub(2))
    elseif not name then
        die("syntax: %s", line)
    elseif sigil ~= "" and name:find(".", 1, true) then
        die("%s%s: no dot in this name", sigil, name)
    elseif sigil == "%" then
        parse_field(name, rest)
    elseif sigil == "&" then
        parse_argset(name, rest)
    elseif sigil == "@" then
        local f = parse_item(rest)
        if f.text or f.ext or f.tr or f.op or f.as then die("@%s: a format has bits and arguments only", name) end
        inherit("@" .. name, f)
        define(formats, "@", name, f)
    else
        add_row(name, rest)
    end
end

local function read_file(path)
    here.file = path
    local pending, number = nil, 0
    local function flush()
        if pending then parse_line(pending) end
        pending = nil
    end
    for line in assert(io.open(path)):lines() do
        number = number + 1
        line = line:gsub("#.*", ""):gsub("%s+$", "")
        local body = line:match("^%s*(.*)$")
        if body ~= "" then
            local goes_on = line:find("^%s") and pending and not body:find("^[|!{}]") and not body:find("^[%a_][%w_.]*%s+[01.%-]")
            if goes_on then
                pending = pending .. " " .. body
            else
                flush()
                here.line, pending = number, body
            end
        end
    end
    flush()
    if group then die_at(group, "the group is not closed") end
end

-- ---- checks over the whole table ----
local function check_overlaps()
    for i, p in ipairs(rows) do
        for j = 1, i - 1 do
            local q = rows[j]
            local meets = p.width == q.width and (p.mask & q.mask & (p.value ~ q.value)) == 0
            if meets and not (p.group and p.group == q.group) then
                die_at(p.at, "%s overlaps %s (%s)", p.name or "!", q.name or "!", place(q.at))
            elseif meets and (q.mask & p.mask) == q.mask then
                die_at(p.at, "%s is never reached: %s (%s) comes first", p.name or "!", q.name or "!", place(q.at))
            end
        end
    end
end

local translators, tr_order = {}, {}
local function check_translators()
    for _, row in ipairs(rows) do
        if row.name and not row.as then
            local fn = row.tr or row.name:gsub("%.", "_")
            row.fn = fn
            local other = translators[fn]
            if other and (other.op ~= nil) ~= (row.op ~= nil) then
                die_at(row.at, "translator %s is used with and without op=, see %s", fn, place(other.at))
            end
            if not other then
                translators[fn] = row
                tr_order[#tr_order + 1] = fn
            end
        end
    end
end

-- ---- operand classes: what of an instruction's operands is worth telling apart, for coverage ----
local ORDERS, RM_DYN = { "none", "rl", "aq", "aqrl" }, 7

local function is_field(row, a) return row.sets[a] and row.sets[a].field end

local function classes_of(row)
    local list = {}
    local function class(text, test, a, b, value) list[#list + 1] = { text = text, test = test, a = a, b = b or a, value = value or 0 } end
    for i, a in ipairs(row.args.order) do
        local kind, f = row.args.kind[a], is_field(row, a)
        if f and kind == "reg" and f.least <= 0 then
            class(a .. "=x0", "EQ", a, nil, 0)
        elseif f and (kind == "imm" or kind == "uimm") then
            if f.least < 0 then class(a .. "<0", "LT", a, nil, 0) end
            if f.least <= 0 then class(a .. "=0", "EQ", a, nil, 0) end
            class(a .. ">0", "GT", a, nil, 0)
            class(a .. "=max", "EQ", a, nil, f.most)
            if f.least < 0 then class(a .. "=min", "EQ", a, nil, f.least) end
        elseif f and kind == "rm" then
            class(a .. "=dyn", "EQ", a, nil, RM_DYN)
            class(a .. " fixed", "LT", a, nil, RM_DYN)
        elseif f and kind == "ord" then
            for n, text in ipairs(ORDERS) do class(a .. "=" .. text, "EQ", a, nil, n - 1) end
        end
        for j = 1, i - 1 do
            local b = row.args.order[j]
            if f and is_field(row, b) and is_field(row, b) ~= f and row.args.kind[b] == kind and (kind == "reg" or kind == "freg") then
                class(b .. "=" .. a, "SAME", b, a)
            end
        end
    end
    return list
end

local function value_of(f, w)
    local n = 0
    for _, p in ipairs(f.pieces) do
        local x = w >> p.lsb & ((1 << p.len) - 1)
        if p.signed and x >> (p.len - 1) == 1 then x = x - (1 << p.len) end
        n = n << p.len | x
    end
    return (n << f.shift) + f.add
end

-- Short instructions are few enough to try all: what no word of a row can be is no class of it.
local function mark_possible(width)
    for w = 0, (1 << width) - 1 do
        for _, row in ipairs(rows) do
            if row.width == width and w & row.mask == row.value then
                for _, c in ipairs(row.classes or {}) do
                    local a, b = value_of(row.sets[c.a].field, w), value_of(row.sets[c.b].field, w)
                    c.possible = c.possible or (c.test == "EQ" and a == c.value) or (c.test == "LT" and a < c.value) or
                        (c.test == "GT" and a > c.value) or (c.test == "SAME" and a == b)
                end
                break
            end
        end
    end
end

local function find_classes()
    for _, row in ipairs(rows) do
        if row.name then row.classes = classes_of(row) end
    end
    mark_possible(16)
    for _, row in ipairs(rows) do
        local kept = {}
        for _, c in ipairs(row.classes or {}) do
            if c.possible or row.width ~= 16 then kept[#kept + 1] = c end
        end
        row.classes = kept
    end
end

-- ---- output ----
local function c_name(name) return (name:gsub("%.", "_")) end
local function row_id(row) return UPPER .. "_" .. c_name(row.name) end

local function named_rows()
    local list = {}
    for _, row in ipairs(rows) do
        if row.name then list[#list + 1] = row end
    end
    return list
end

local function sorted_keys(set)
    local list = {}
    for k in pairs(set) do list[#list + 1] = k end
    table.sort(list)
    return list
end

local function collect(of)
    local set = {}
    for _, row in ipairs(named_rows()) do of(row, set) end
    return sorted_keys(set)
end

-- Of names that stand in their table: a table of pointers would be written, and so copied, at each start.
local function longest_name(key)
    local n = #"illegal"
    for _, row in ipairs(named_rows()) do n = math.max(n, #row[key]) end
    return n + 1
end

local function write_header(sources)
    local o = {}
    local function put(...) o[#o + 1] = string.format(...) end
    local camel = prefix:gsub("^%l", string.upper)
    put("/* Made by decodegen.lua from %s. */", sources)
    put("#ifndef %s_DECODE_H\n#define %s_DECODE_H", UPPER, UPPER)
    put('#include "sim/guest/disasm.h"\n#include "sim/guest/guest.h"\n')
    put("enum { /* decode rows; 0 = no instruction */\n    %s_ROW_NONE,", UPPER)
    for _, row in ipairs(named_rows()) do put("    %s,", row_id(row)) end
    put("    %s_ROW_COUNT\n};", UPPER)
    put("typedef enum {")
    for _, ext in ipairs(collect(function(row, set) set[row.ext] = true end)) do put("    %s_EXT_%s,", UPPER, ext) end
    put("    %s_EXT_COUNT\n} %sExt;", UPPER, camel)
    put("#define %s_EXTS(X) %s", UPPER,
        table.concat(collect(function(row, set) set["X(" .. row.ext .. ")"] = true end), " "))
    put("typedef struct %sArgs {", camel)
    for _, a in ipairs(collect(function(row, set) for k in pairs(row.sets) do set[k] = true end end)) do put("    int32_t %s;", a) end
    put("    int32_t unused_; /* a table may have no argument */\n} %sArgs;", camel)
    put("extern const char %s_row_names[%s_ROW_COUNT][%d];", prefix, UPPER, longest_name("name"))
    put("extern const uint8_t %s_row_ext[%s_ROW_COUNT]; /* %s_EXT_x */", prefix, UPPER, UPPER)
    put("extern const char %s_ext_names[%s_EXT_COUNT][%d];", prefix, UPPER, longest_name("ext"))
    put("typedef struct %sRowBits {\n    uint32_t mask, value; /* which bits a row fixes, and how */\n} %sRowBits;", camel, camel)
    put("extern const %sRowBits %s_row_bits[%s_ROW_COUNT];", camel, prefix, UPPER)
    local nclasses, longest = 0, 0
    for _, row in ipairs(named_rows()) do
        nclasses = nclasses + #row.classes
        for _, c in ipairs(row.classes) do longest = math.max(longest, #c.text) end
    end
    put("/* Classes of operands, by row: what of row r's are row_classes[r] up to that of r + 1. */")
    put("enum { %s_CLASS_COUNT = %d };", UPPER, nclasses)
    put("typedef struct %sClass {\n    int32_t value;\n    uint8_t test, a, b; /* a, b: indices into %sArgs */", camel, camel)
    put("    char text[%d]; /* \"rd=x0\"; no pointer, which would be relocated at each start */\n} %sClass;", longest + 1, camel)
    put("extern const %sClass %s_classes[%s_CLASS_COUNT + 1];", camel, prefix, UPPER)
    put("extern const uint16_t %s_row_classes[%s_ROW_COUNT + 1];", prefix, UPPER)
    put("bool %s_in_class(const %sClass *c, const %sArgs *a);", prefix, camel, camel)
    put("/* The row of an instruction word, and its arguments. */")
    put("unsigned %s_decode16(uint32_t w, %sArgs *a);\nunsigned %s_decode32(uint32_t w, %sArgs *a);", prefix, camel, prefix, camel)
    put("/* Calls the row's translator; row is not NONE. */")
    put("TrResult %s_dispatch(Translate *t, unsigned row, const %sArgs *a);", prefix, camel)
    put("void %s_asm(AsmText *o, unsigned row, const %sArgs *a);", prefix, camel)
    put("/* Supplied by the guest. */")
    for _, fn in ipairs(tr_order) do
        put("TrResult %s_tr_%s(Translate *t, const %sArgs *a%s);", prefix, fn, camel, translators[fn].op and ", IrOpcode op" or "")
    end
    for _, kind in ipairs(collect(function(row, set)
        for _, k in pairs(row.args.kind) do set[k] = true end
        local texts = { row.text or "" }
        for _, alias in ipairs(row.aliases) do texts[#texts + 1] = alias.text end
        for kind in table.concat(texts):gmatch("{[%w_]+:([%w_]+)}") do set[kind] = true end
    end)) do
        put("void %s_asm_%s(AsmText *o, int32_t value);", prefix, kind)
    end
    put("#endif")
    return table.concat(o, "\n") .. "\n", camel
end

-- Pieces are joined as uint32_t, as shifting a negative value is undefined.
local function extract(f)
    local e
    for i, p in ipairs(f.pieces) do
        local x
        if p.signed then
            x = ("(uint32_t)((int32_t)(w << %d) >> %d)"):format(32 - p.lsb - p.len, 32 - p.len)
        else
            x = ("(w >> %d & 0x%xu)"):format(p.lsb, (1 << p.len) - 1)
        end
        e = i > 1 and ("(%s << %d | %s)"):format(e, p.len, x) or x
    end
    if f.shift > 0 then e = ("%s << %d"):format(e, f.shift) end
    if f.add > 0 then e = ("(%s) + %d"):format(e, f.add) end
    return ("(int32_t)(%s)"):format(e)
end

local function put_leaf(put, row, indent)
    put("%sif ((w & 0x%08xu) == 0x%08xu) {", indent, row.mask, row.value)
    if row.name then
        for _, a in ipairs(row.set_order) do
            local s = row.sets[a]
            put("%s    a->%s = %s;", indent, a, s.const and tostring(s.const) or extract(s.field))
        end
        put("%s    return %s;", indent, row_id(row))
    else
        put("%s    return %s_ROW_NONE; /* %s */", indent, UPPER, row.text)
    end
    put("%s}", indent)
end

-- Splits on the bits that all of the list fix, until few rows are left.
local function put_tree(put, list, done, indent)
    local common = 0xffffffff
    for _, row in ipairs(list) do common = common & row.mask end
    common = common & ~done
    local by, keys = {}, {}
    for _, row in ipairs(list) do
        local k = row.value & common
        if not by[k] then
            by[k] = {}
            keys[#keys + 1] = k
        end
        table.insert(by[k], row)
    end
    if #keys <= 1 then
        for _, row in ipairs(list) do put_leaf(put, row, indent) end
        put("%sreturn %s_ROW_NONE;", indent, UPPER)
        return
    end
    put("%sswitch (w & 0x%08xu) {", indent, common)
    for _, k in ipairs(keys) do
        put("%scase 0x%08xu:", indent, k)
        put_tree(put, by[k], done | common, indent .. "    ")
    end
    put("%sdefault:\n%s    return %s_ROW_NONE;\n%s}", indent, indent, UPPER, indent)
end

local function put_text(put, row, text, indent)
    local rest = text
    while rest ~= "" do
        local plain, a, kind, tail = rest:match("^([^{]*){([%w_]+):?([%w_]*)}(.*)$")
        plain = plain or rest
        if plain ~= "" then put('%sasm_str(o, "%s");', indent, plain) end
        if a then put("%s%s_asm_%s(o, a->%s);", indent, prefix, kind ~= "" and kind or row.args.kind[a], a) end
        rest = tail or ""
    end
end

local function put_aliases(put, row, guard)
    for _, alias in ipairs(row.aliases) do
        local conds = { guard }
        for _, c in ipairs(alias.conds) do
            conds[#conds + 1] = c.n and ("a->%s == %d"):format(c.a, c.n) or ("a->%s == a->%s"):format(c.a, c.b)
        end
        put("        if (%s) {", table.concat(conds, " && "))
        put_text(put, row, alias.text, "            ")
        put("            return;\n        }")
    end
end

local function put_asm(put, camel, stand_ins)
    put("void %s_asm(AsmText *o, unsigned row, const %sArgs *a)\n{\n    (void)o;\n    (void)a;\n    switch (row) {", prefix, camel)
    for _, row in ipairs(named_rows()) do
        if not row.as then
            for _, stand_in in ipairs(stand_ins[row] or {}) do put("    case %s:", row_id(stand_in)) end
            put("    case %s:", row_id(row))
            for _, stand_in in ipairs(stand_ins[row] or {}) do put_aliases(put, stand_in, "row == " .. row_id(stand_in)) end
            put_aliases(put, row)
            put_text(put, row, row.text, "        ")
            put("        return;")
        end
    end
    put("    default:\n        return;\n    }\n}")
end

local function put_classes(put, camel, list)
    put("enum { EQ, LT, GT, SAME };\n#define ARG(name) (uint8_t)(offsetof(%sArgs, name) / sizeof(int32_t))", camel)
    put("const %sClass %s_classes[%s_CLASS_COUNT + 1] = {", camel, prefix, UPPER)
    for _, row in ipairs(list) do
        for _, c in ipairs(row.classes) do
            put('    {%d, %s, ARG(%s), ARG(%s), "%s"},', c.value, c.test, c.a, c.b, c.text)
        end
    end
    put("    {0, 0, 0, 0, \"\"},\n};\nconst uint16_t %s_row_classes[%s_ROW_COUNT + 1] = {\n    0,", prefix, UPPER)
    local n = 0
    for _, row in ipairs(list) do
        put("    [%s] = %d,", row_id(row), n)
        n = n + #row.classes
    end
    put("    %d,\n};\nbool %s_in_class(const %sClass *c, const %sArgs *a)\n{", n, prefix, camel, camel)
    put("    const int32_t *v = (const int32_t *)a; /* which has nothing else */")
    put("    return c->test == EQ   ? v[c->a] == c->value\n           : c->test == LT ? v[c->a] < c->value\n           : c->test == GT ? v[c->a] > c->value")
    put("                           : v[c->a] == v[c->b];\n}")
end

local function write_source(sources, camel)
    local o = {}
    local function put(...) o[#o + 1] = string.format(...) end
    local list, stand_ins = named_rows(), {}
    for _, row in ipairs(list) do
        if row.target then
            stand_ins[row.target] = stand_ins[row.target] or {}
            table.insert(stand_ins[row.target], row)
        end
    end
    put("/* Made by decodegen.lua from %s. */", sources)
    put('#include "%s"\n', out_h:match("[^/]+$"))
    put("const char %s_row_names[%s_ROW_COUNT][%d] = {\n    \"illegal\",", prefix, UPPER, longest_name("name"))
    for _, row in ipairs(list) do put('    "%s",', row.name) end
    put("};\nconst uint8_t %s_row_ext[%s_ROW_COUNT] = {", prefix, UPPER)
    for _, row in ipairs(list) do put("    [%s] = %s_EXT_%s,", row_id(row), UPPER, row.ext) end
    put("};\nconst %sRowBits %s_row_bits[%s_ROW_COUNT] = {", camel, prefix, UPPER)
    for _, row in ipairs(list) do put("    [%s] = {0x%08xu, 0x%08xu},", row_id(row), row.mask, row.value) end
    put("};\nconst char %s_ext_names[%s_EXT_COUNT][%d] = {", prefix, UPPER, longest_name("ext"))
    for _, ext in ipairs(collect(function(row, set) set[row.ext] = true end)) do put('    "%s",', ext) end
    put("};")
    put_classes(put, camel, list)
    for _, width in ipairs { 16, 32 } do
        local part = {}
        for _, row in ipairs(rows) do
            if row.width == width then part[#part + 1] = row end
        end
        put("unsigned %s_decode%d(uint32_t w, %sArgs *a)\n{\n    (void)w;\n    (void)a;", prefix, width, camel)
        put_tree(put, part, 0, "    ")
        put("}")
    end
    put("TrResult %s_dispatch(Translate *t, unsigned row, const %sArgs *a)\n{\n    switch (row) {", prefix, camel)
    for _, row in ipairs(list) do
        if not row.as then
            for _, stand_in in ipairs(stand_ins[row] or {}) do put("    case %s:", row_id(stand_in)) end
            put("    case %s:\n        return %s_tr_%s(t, a%s);", row_id(row), prefix, row.fn, row.op and ", IR_" .. row.op or "")
        end
    end
    put("    default:\n        __builtin_unreachable(); /* by contract */\n    }\n}")
    put_asm(put, camel, stand_ins)
    return table.concat(o, "\n") .. "\n"
end

local function write_file(path, text)
    local f = assert(io.open(path, "w"))
    assert(f:write(text))
    assert(f:close())
end

if not arg[4] then
    io.stderr:write("usage: decodegen.lua PREFIX OUT.h OUT.c IN.decode...\n")
    os.exit(2)
end
local names = {}
for i = 4, #arg do
    read_file(arg[i])
    names[#names + 1] = arg[i]:match("[^/]+$")
end
check_overlaps()
check_translators()
find_classes()
if #rows == 0 then die("no rows") end
local header, camel = write_header(table.concat(names, ", "))
write_file(out_h, header)
write_file(out_c, write_source(table.concat(names, ", "), camel))
