-- SPDX-License-Identifier: Apache-2.0
-- The commands of `conf repl`, on top of what every script has (prelude.lua). Its argument: the primitives of
-- repl_api.c.
local conf = ...
local doc = conf.doc
local format, concat = string.format, table.concat
local current = 0 -- index of the vcpu that commands are about
local cpu = vcpu
local breaks, undo, nundo = {}, {}, 0
local before = nil -- registers at the last stop

local function hex(v) return format("0x%x", v) end

local function place(address)
  local text = conf.describe(address)
  return text and hex(address) .. " <" .. text .. ">" or hex(address)
end

---- values ----------------------------------------------------------------------------------------
local function show(v, depth)
  if math.type(v) == "integer" then return hex(v) end
  if type(v) == "string" then return format("%q", v) end
  if type(v) ~= "table" or depth > 2 then return tostring(v) end
  local parts, n = {}, #v
  for i = 1, math.min(n, 32) do parts[i] = show(v[i], depth + 1) end
  for k, item in pairs(v) do
    if #parts == 48 then parts[49] = ".." break end
    if math.type(k) ~= "integer" or k < 1 or k > n then
      local name = type(k) == "string" and k or "[" .. show(k, depth + 1) .. "]"
      parts[#parts + 1] = name .. " = " .. show(item, depth + 1)
    end
  end
  return "{" .. concat(parts, ", ") .. "}"
end

function conf.show(...)
  local values = table.pack(...)
  if values.n == 0 or values.n == 1 and values[1] == nil then return end
  for i = 1, values.n do values[i] = show(values[i], 0) end
  print("= " .. concat(values, ", ", 1, values.n))
end

---- code and memory -------------------------------------------------------------------------------
local function dump(bytes)
  return (bytes:gsub(".", function(c) return format("%02x ", c:byte()) end))
end

local function read_up_to(address, n)
  while n > 0 do
    local ok, bytes = pcall(vm.mem.bytes, vm.mem, address, n)
    if ok then return bytes end
    n = n // 2
  end
  return ""
end

function dis(address, n)
  address, n = address or cpu:get("pc"), n or 8
  local pc = cpu:get("pc")
  for _ = 1, n do
    local bytes = read_up_to(address, 16)
    if #bytes == 0 then error("no memory at " .. hex(address), 2) end
    local text, length = conf.disasm(bytes, address)
    length = length or guest == "x86_64" and 1 or math.min(4, #bytes)
    print(format("%s %-28s %-24s %s", address == pc and ">" or " ", place(address), dump(bytes:sub(1, length)),
                 text or "(no instruction, or no disassembler)"))
    address = address + length
  end
end
doc("dis([address [, n]])", "Disassembles n instructions.\n    From pc if no address is given.")

function asm(text, address)
  address = address or cpu:get("pc")
  local bytes = conf.assemble(text, address)
  conf.poke(address, bytes)
  print(format("%d bytes at %s: %s", #bytes, place(address), dump(bytes:sub(1, 32))))
  return address + #bytes
end
doc("asm(text [, address])",
    [[Assembles and places code.
    At pc if no address is given: asm "mov rax, 1". Returns the end.]])

function mem(address, n)
  n = n or 64
  local bytes = vm.mem:bytes(address, n)
  for at = 1, #bytes, 16 do
    local row = bytes:sub(at, at + 15)
    print(format("%016x  %-48s |%s|", address + at - 1, dump(row), (row:gsub("[^\32-\126]", "."))))
  end
end
doc("mem(address [, n])", "Dumps n bytes (64) in hex.")

---- registers -------------------------------------------------------------------------------------
local listed = nil
local function registers(all)
  listed = listed or cpu:registers()
  local list = {}
  for _, r in ipairs(listed) do
    if all or r.class == "gpr" or r.name == "rip" or r.name == "pc" or r.name == "rflags" or r.name == "nzcv" then
      list[#list + 1] = r
    end
  end
  return list
end

local function snapshot()
  local values = {}
  for _, r in ipairs(registers()) do values[r.name] = cpu:get(r.id) end
  return values
end

function regs(all)
  local line = {}
  for _, r in ipairs(registers(all)) do
    local v = cpu:get(r.id)
    local changed = before and before[r.name] ~= nil and before[r.name] ~= v
    local text = type(v) == "string" and v:reverse():gsub(".", function(c) return format("%02x", c:byte()) end) or
                     format("%016x", v)
    line[#line + 1] = format("%s%-8s %s", changed and "*" or " ", r.name, text)
    if #line == 3 or type(v) == "string" then
      print(concat(line, "  "))
      line = {}
    end
  end
  if #line > 0 then print(concat(line, "  ")) end
end
doc("regs([all])", [[Prints the general registers.
    * marks what changed since the last step or go. regs(true): every register.]])

---- running ---------------------------------------------------------------------------------------
local can_save = vm:caps().save ~= "none" and vm:caps().save ~= "n/a"
local DEPTH = 16
local due = false -- the last exit awaits a value

-- Names are used again in a ring, so that old states are let go.
local function remember()
  if not can_save then return end
  local name = "back " .. nundo % DEPTH
  if pcall(save, name) then
    undo[#undo + 1], nundo = name, nundo + 1
    if #undo > DEPTH then table.remove(undo, 1) end
  end
end

local function check_due()
  if due then error("the last exit awaits an answer: reply(value), reply \"fault\"", 3) end
end

local function stop_at(_, text, is_due)
  due = is_due
  print(text)
end

local function start()
  before = snapshot()
  remember()
end

function go()
  check_due()
  start()
  stop_at(conf.go(current, "run"))
end
doc("go()", "Runs until an exit and prints it as traces do.\n    Ctrl-C ends the run.")

function step(n)
  check_due()
  if n ~= nil and (math.type(n) ~= "integer" or n < 1) then error("step(n): n is 1 or more", 2) end
  start()
  for i = 1, n or 1 do
    local exit, text, is_due = conf.go(current, "step")
    if exit.exit ~= "debug" or i == (n or 1) then
      if exit.exit ~= "debug" then stop_at(exit, text, is_due) end
      break
    end
  end
  if not due then dis(cpu:get("pc"), 1) end
end
doc("step([n])", [[Runs n instructions (1), or until an exit.
    Shows the next one.]])

function reply(value)
  conf.reply(current, value)
  due = false
end
doc("reply(value)", [[Answers a read.
    With a number, "fault", or {eax, ebx, ecx, edx} for cpuid.]])

function back()
  local name = table.remove(undo)
  if not name and not can_save then error("this backend keeps no states: back() needs `save`", 2) end
  if not name then error("nothing to go back to", 2) end
  if due then conf.reply(current, 0) end -- its effect is undone at once
  due = false
  restore(name)
  print("at " .. place(cpu:get("pc")))
end
doc("back()", [[Undoes the last step or go.
    Up to 16 times, where the backend can save.]])

function break_at(address)
  if address == nil then breaks = {} else breaks[#breaks + 1] = address end
  local ok, text = pcall(conf.breaks, current, breaks)
  if not ok then
    breaks[#breaks] = nil
    error(text, 0)
  end
  for i, b in ipairs(breaks) do print(i, place(b)) end
end
doc("break_at([address])", "Sets a breakpoint; without an address removes all.")

function use(name)
  cpu, current = vm.vcpus[name], conf.vcpu_index[name]
  vcpu, listed, before = cpu, nil, nil
end
doc("use(name)", "Makes commands be about another vcpu.")

function backends()
  for _, b in ipairs(conf.backends()) do print(format("%-12s %s", b.name, b.why or "ready")) end
end
doc("backends()", "What can run this guest here, and why not.")

quit = setmetatable({}, {__call = conf.quit, __metatable = false})
doc("quit", "Ends the session; so does the end of input.")

function skip() error("there is nothing to skip here", 2) end

---- completion ------------------------------------------------------------------------------------
local function add(found, prefix, head, names)
  for name in pairs(names) do
    if type(name) == "string" and name:sub(1, #prefix) == prefix then found[#found + 1] = head .. name end
  end
end

local function set_of(list, key)
  local set = {}
  for _, v in ipairs(list) do set[key and v[key] or v] = true end
  return set
end

function conf.complete(word)
  local found = {}
  local head, prefix = word:match("^(.-[.:])([%w_]*)$")
  if head == "sym." then
    add(found, prefix, head, set_of(conf.names()))
  elseif head == "vm.vcpus." then
    add(found, prefix, head, vm.vcpus)
  elseif head == "vm.mem:" or head == "vm." or head == "vcpu:" then
    local methods = {["vm.mem:"] = {"u8", "u16", "u32", "u64", "bytes"}, ["vm."] = {"vcpus", "mem", "caps"},
                     ["vcpu:"] = {"get", "set", "registers", "state"}}
    add(found, prefix, head, set_of(methods[head]))
  elseif not head then
    add(found, word, "", _G)
    add(found, word, "", set_of(conf.names()))
    add(found, word, "", set_of(registers(true), "name"))
  end
  return concat(found, "\n")
end
