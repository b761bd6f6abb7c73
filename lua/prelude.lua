-- SPDX-License-Identifier: Apache-2.0
-- What every script finds beside Lua's own libraries and the verbs. Runs once in each new state, before the script, with
-- the primitives of api.c as its argument. Every name that a script may use has an entry in `docs`, which help() prints.
local conf = ...
local error, ipairs, next, pcall, rawget, select, setmetatable, tostring, type =
    error, ipairs, next, pcall, rawget, select, setmetatable, tostring, type
local concat, sort, pack, unpack = table.concat, table.sort, table.pack, table.unpack
local format, rep = string.format, string.rep

---- documentation ---------------------------------------------------------------------------------
local docs, order = {}, {}

-- The first line of the text is a sentence of its own, short enough to stand behind the signature in 80 columns: what
-- help() lists. A signature may be of several names: "u8, u16".
local function doc(signature, text)
  for name in signature:match("^[^(%[ ]+[^(%[]*"):gmatch("[%w_.:]+") do
    docs[name] = signature .. "\n    " .. text
  end
  order[#order + 1] = {signature, text:match("^[^\n]*")}
end
conf.doc = doc

function help(what)
  if what == nil then
    local lines, width = {}, 0
    for _, row in ipairs(order) do width = math.max(width, #row[1]) end
    for i, row in ipairs(order) do lines[i] = row[1] .. rep(" ", width - #row[1] + 1) .. row[2] end
    print(concat(lines, "\n"))
    return
  end
  local name = what
  if type(what) ~= "string" then
    for k, v in next, _G do
      if v == what and docs[k] then name = k end
    end
  end
  if type(name) ~= "string" or not docs[name] then error("no help on " .. tostring(what), 2) end
  print(docs[name])
end
doc("help([name])", [[Prints this list, or what one name means.
    help "forall" or help(forall).]])

doc("run(items [, modifiers])", [[Runs a vcpu and holds every exit against the list.
    The items and modifiers are those of `run:`.
    run "done"; run{{mmio_read = {addr = sym.dev}, reply = 1}, "done"}; run({"budget"}, {insns = 3}).
    Returns the exits as a list of tables: exit, vcpu, pc, next, insns, native, by, and the fields of that exit.]])
doc("op(name [, modifiers])", [[Does a lifecycle operation.
    op "execute"; op("pause", {gives = "denied"}).
    Returns true; or false, text, code when it was rejected and `gives` did not say so.]])
doc("inject(event [, modifiers])", [[Injects an interrupt.
    inject "external"; inject(0x40); inject("irq", {level = 0}).]])
doc("kick(vcpu)", [[Makes a run end with canceled.
    The run under way, or else the next: kick "v0".]])
doc("set(registers)", [[Writes registers.
    set{arg0 = 1, pc = sym.again}.]])
doc("write(memory)", [[Writes guest memory.
    write{[sym.buf] = {u64 = {1, 2}}} or write{["$buf"] = {u8 = {1}}}.]])
doc("map(region [, modifiers])", "Maps a region of the scenario.\n    As `map:` does.")
doc("unmap(region [, modifiers])", "Unmaps a region.\n    As `unmap:` does.")
doc("protect(region [, modifiers])", "Changes a region's flags.\n    As `protect:` does.")
doc("save(name)", "Keeps the whole state under a name.")
doc("restore(name [, modifiers])", [[Goes back to a kept state.
    restore "start"; restore("s", {into = "new"}).]])
doc("type_text(text)", [[Types on the console.
    The verb `type`; `type` itself stays Lua's.]])
doc("check(expectations)", [[Checks registers, memory and other state now.
    As `check:` does: check{regs = {arg0 = 1}, memory = {[sym.buf] = {u64 = 2}}}.]])
doc("native(call)", [[Makes a backend's own call.
    native{call = "kvm.x", args = {..}}.]])
doc("fail(what)", "Ends the scenario as failed.")
doc("skip(reason)", "Ends the scenario as skipped.")
doc("scenario(table)", [[Adds a scenario to a suite written in Lua.
    In a .lua suite: the keys are those of the YAML form; its script may be a function.]])
doc("print(..)", "Writes to standard error.\n    At most 64 KiB.")
doc("random([lo, hi])", [[Gives a number of the scenario's own stream.
    All 64 bits, or lo to hi inclusive; --seed decides the stream.]])
doc("vcpu", [[The first vcpu.
    vcpu:get(register) and vcpu:set(register, value) take a name or an id; vcpu:registers()
    lists {id, name, size, class, writable, mask, fixed}; vcpu:state() is the state of its lifecycle model.]])
doc("vm", [[The machine: its vcpus, memory and capabilities.
    vm.vcpus.NAME: a vcpu by name. vm.mem:u8(address [, value]), u16, u32, u64: reads or writes guest memory;
    vm.mem:bytes(address, n): a string. vm:caps(): capability -> "full", "partial", "none" or "n/a".]])
doc("sym", [[The addresses of labels, regions and pages.
    sym.NAME: address of a label, region (dev, dev_end, dev_size) or page (p, p_pte), or a captured value.]])
doc("row", [[The values of this row.
    row.NAME: the value of a column or `let`.]])
doc("guest", "The guest's name: riscv64, aarch64 or x86_64.")
doc("backend", "The backend's name, as shown.")
doc("seed", "The run's seed.")
doc("any", "The matcher that holds for every value.")

---- names: absent ones raise ----------------------------------------------------------------------
local function distance(a, b)
  local before = {}
  for j = 0, #b do before[j] = j end
  for i = 1, #a do
    local now = {[0] = i}
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j) and 0 or 1
      now[j] = math.min(before[j] + 1, now[j - 1] + 1, before[j - 1] + same)
    end
    before = now
  end
  return before[#b]
end

local function nearest(name, names)
  local best, least = nil, #name // 3 + 1
  for candidate in next, names do
    if type(candidate) == "string" and #candidate < 64 then
      local d = distance(name, candidate)
      if d < least or d == least and best and candidate < best then best, least = candidate, d end
    end
  end
  return best
end

local function refuse(what, name, near)
  name = tostring(name)
  local hint = near and #name < 64 and "; did you mean `" .. near .. "`?" or ""
  error("`" .. name:sub(1, 64) .. "` is no " .. what .. hint, 3)
end

local hidden = setmetatable({}, {__mode = "k"}) -- read-only face -> its values

-- A table that can be read only, and only where it has something.
local function strict(values, what)
  local face = setmetatable({}, {
    __metatable = false,
    __index = function(_, name)
      local v = values[name]
      if v == nil then refuse(what, name, nearest(tostring(name):sub(1, 64), values)) end
      return v
    end,
    __newindex = function(_, name) error("`" .. tostring(name) .. "` is read-only here", 2) end,
    __len = function() return #values end,
  })
  hidden[face] = values
  return face
end

local function symbols() -- labels are known to the assembler only
  local set = {}
  for _, name in ipairs(conf.row and conf.names() or {}) do set[name] = true end
  return set
end

sym = setmetatable({}, {
  __metatable = false,
  __index = function(_, name)
    local value = conf.symbol(tostring(name))
    if not value then refuse("symbol of this scenario", name, nearest(tostring(name):sub(1, 64), symbols())) end
    return value
  end,
  __newindex = function(_, name) error("`" .. tostring(name) .. "` is read-only here", 2) end,
})
row = strict(conf.row or {}, "column or `let` of this scenario")
if conf.vcpu then
  vcpu = conf.vcpu
  vm = strict({vcpus = strict(conf.vcpus, "vcpu of this scenario"), mem = conf.mem, caps = conf.caps}, "field of vm")
end

---- Lua's own, changed ----------------------------------------------------------------------------
-- The handler runs after unwinding: handlers that run at the place of the error would run with the limits off.
function xpcall(f, handler, ...)
  local results = pack(pcall(f, ...))
  if results[1] then return unpack(results, 1, results.n) end
  return false, handler(results[2])
end
doc("xpcall(f, handler, ..)", "Is Lua's, but calls the handler after unwinding.")


local ranks = {number = 1, string = 2, boolean = 3}
local function key_before(a, b)
  local ra, rb = ranks[type(a)] or 4, ranks[type(b)] or 4
  if ra ~= rb then return ra < rb end
  if ra <= 2 then return a < b end
  return ra == 3 and a and not b
end

-- Lua's order of names differs from run to run; a script must not.
function pairs(t)
  t = hidden[t] or t
  local keys, i = {}, 0
  for k in next, t do keys[#keys + 1] = k end
  sort(keys, key_before)
  return function()
    while true do
      i = i + 1
      local k = keys[i]
      if k == nil then return nil end
      local v = t[k]
      if v ~= nil then return k, v end
    end
  end, t, nil
end
doc("pairs(table)", "Is Lua's, but in order.\n    Numbers, then names, each ascending. (next() has no order.)")

---- expectations ----------------------------------------------------------------------------------
any = setmetatable({any = true}, {__metatable = false, __newindex = function() error("`any` is read-only", 2) end})

local text_matchers
local function text_matches(text, m)
  if m == any then return true end
  if type(m) ~= "table" then return text == m end
  local word, arg = next(m)
  if word == nil or next(m, word) ~= nil or not text_matchers[word] then
    error("a text is matched by one of: has, lacks, match, not, in, any", 3)
  end
  return text_matchers[word](text, arg)
end
text_matchers = {
  has = function(text, part) return text:find(part, 1, true) ~= nil end,
  lacks = function(text, part) return text:find(part, 1, true) == nil end,
  match = function(text, pattern) return text:find(pattern) ~= nil end,
  ["not"] = function(text, m) return not text_matches(text, m) end,
  ["in"] = function(text, list)
    for _, m in ipairs(list) do
      if text_matches(text, m) then return true end
    end
    return false
  end,
  any = function() return true end,
}

function expect(value, matcher, what)
  if matcher == any then
    if value == nil then fail((what and tostring(what) .. ": " or "") .. "expected any value, got nothing") end
    return conf.held()
  end
  if type(value) ~= "string" or type(matcher) ~= "table" then return conf.expect(value, matcher, what) end
  if text_matches(value, matcher) then return conf.held() end
  local word, arg = next(matcher)
  arg = type(arg) == "string" and format("%q", arg) or type(arg) == "table" and "{..}" or tostring(arg)
  fail(format("%sexpected %s %s, got %q", what and tostring(what) .. ": " or "", word, arg, value:sub(1, 200)))
end
doc("expect(value, matcher, what)", [[Fails the scenario unless value matches.
    The matcher is an integer, text or boolean for equality, or one of {["not"] = m} {["in"] = {..}}
    {range = {lo, hi}} {ge = n} {le = n} {mask = m, is = n} any; for texts {has = t} {lacks = t}
    {match = pattern} {["not"] = m} {["in"] = {..}}.]])

---- generators ------------------------------------------------------------------------------------
-- A generator has make() -> value and smaller(value) -> list of candidates, smallest first; show(value) -> text.
local function hex(v) return format("0x%x", v) end

-- Towards 0: fewer bits; then halving steps, whose way down is a binary search; then one and two less, as a property of odd
-- numbers hides behind the even ones.
local function smaller_integer(v)
  local list, seen = {}, {[v] = true}
  local function add(candidate)
    if not seen[candidate] and math.ult(candidate, v) then
      seen[candidate] = true
      list[#list + 1] = candidate
    end
  end
  add(0)
  for _, shift in ipairs{56, 48, 32, 16, 8, 4, 2, 1} do add(v >> shift) end
  for shift = 1, 63 do add(v - (v >> shift)) end
  add(v - 2)
  return list
end

local function integers(bits)
  local mask = bits == 64 and -1 or (1 << bits) - 1
  return {make = function() return random() & mask end, smaller = smaller_integer, show = hex}
end
u8, u16, u32, u64 = integers(8), integers(16), integers(32), integers(64)
doc("u8, u16, u32, u64", "Generators: an integer of that many bits.")

local edges = {0, 1, 2, -1, -2, math.maxinteger, math.mininteger, math.mininteger + 1, 0x7f, 0x80, 0xff, 0x100, 0x7fff,
               0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, -0x80000000, -0x80000001}
edge64 = {
  make = function()
    local kind = random(1, 4)
    if kind <= 2 then return edges[random(1, #edges)] end
    if kind == 3 then return (1 << random(0, 63)) + random(-1, 1) end
    return random() >> random(0, 63)
  end,
  smaller = smaller_integer,
  show = hex,
}
doc("edge64", [[Generator: a 64-bit integer, mostly at an edge.
    The edges of widths and signs.]])

function one_of(list)
  if type(list) ~= "table" or #list == 0 then error("one_of takes a list that is not empty", 2) end
  return {
    make = function() return list[random(1, #list)] end,
    smaller = function(v)
      local before = {}
      for _, item in ipairs(list) do
        if item == v then break end
        before[#before + 1] = item
      end
      return before
    end,
    show = function(v) return math.type(v) == "integer" and hex(v) or tostring(v) end,
  }
end
doc("one_of(list)", [[Generator: an item of the list.
    Earlier ones count as smaller.]])

function bytes(n)
  if math.type(n) ~= "integer" or n < 0 or n > 65536 then error("bytes takes a length from 0 to 65536", 2) end
  local function zeroed(v, from, to) return v:sub(1, from - 1) .. rep("\0", to - from + 1) .. v:sub(to + 1) end
  return {
    make = function()
      local list = {}
      for i = 1, n do list[i] = string.char(random(0, 255)) end
      return concat(list)
    end,
    smaller = function(v)
      local list, size = {}, n
      while size >= 1 and #list < 512 do
        for from = 1, n, size do
          local candidate = zeroed(v, from, math.min(from + size - 1, n))
          if candidate ~= v then list[#list + 1] = candidate end
        end
        if size == 1 then break end
        size = (size + 1) // 2
      end
      return list
    end,
    show = function(v) return (v:gsub(".", function(c) return format("%02x", c:byte()) end)) end,
  }
end
doc("bytes(n)", "Generator: a string of n bytes.\n    Shrinks bytes to 0.")

---- forall ----------------------------------------------------------------------------------------
local MAX_SHRINKS = 1000

local function sorted_names(generators)
  local names = {}
  for name, g in next, generators do
    if type(name) ~= "string" or type(g) ~= "table" or not g.make or not g.smaller then
      error("forall takes generators by name: {a = u64, b = one_of{1, 2}}", 3)
    end
    names[#names + 1] = name
  end
  sort(names)
  return names
end

local function show(names, generators, x)
  local parts = {}
  for i, name in ipairs(names) do
    parts[i] = name .. " = " .. (generators[name].show or tostring)(x[name])
  end
  return concat(parts, ", ")
end

local function copy_with(x, name, value)
  local copy = {}
  for k, v in next, x do copy[k] = v end
  if name then copy[name] = value end
  return copy
end

-- One step down: the first smaller case that still fails.
local function shrink_once(names, generators, f, x, left)
  for _, name in ipairs(names) do
    for _, value in ipairs(generators[name].smaller(x[name])) do
      if left.n == 0 then return nil end
      left.n = left.n - 1
      local candidate = copy_with(x, name, value)
      local ok, why, line = conf.trial(f, copy_with(candidate))
      if ok == false then return candidate, why, line end
    end
  end
  return nil
end

local function shrink(names, generators, f, x, why, line)
  local left, times = {n = MAX_SHRINKS}, 0
  while true do
    local smaller, its_why, its_line = shrink_once(names, generators, f, x, left)
    if not smaller then return x, why, line, times end
    x, why, line, times = smaller, its_why, its_line, times + 1
  end
end

function forall(n, generators, f)
  if math.type(n) ~= "integer" or n < 1 then error("forall(n, generators, f): n is the number of cases", 2) end
  if type(f) ~= "function" then error("forall(n, generators, f): f is a function of one table", 2) end
  local names = sorted_names(generators)
  for case = 1, n do
    local x = {}
    for _, name in ipairs(names) do x[name] = generators[name].make() end
    local ok, why, line = conf.trial(f, copy_with(x))
    if ok == nil then
      error(type(why) == "string" and why .. " (case " .. case .. ": " .. show(names, generators, x) .. ")" or why, 0)
    end
    if not ok then
      local times
      x, why, line, times = shrink(names, generators, f, x, why, line)
      conf.fail_at(line, format("%s   case %d of %d, shrunk %d times: %s   (seed 0x%x)", why, case, n, times,
                                show(names, generators, x), seed))
    end
  end
end
doc("forall(n, generators, f)", [[Calls f n times with generated values.
    forall(200, {a = u64}, function(x) .. end): f is given a table with those names.
    When an expectation or a step fails, tries smaller values (at most 1000 times) and fails with the smallest ones.]])

---- strict globals --------------------------------------------------------------------------------
-- A global that is not there is a symbol of the scenario, or a mistake.
setmetatable(_G, {
  __metatable = false,
  __index = function(_, name)
    if type(name) ~= "string" then return nil end
    local value = conf.symbol(name)
    if value then return value end
    name = name:sub(1, 64)
    refuse("global or symbol", name, nearest(name, symbols()) or nearest(name, _G))
  end,
})
