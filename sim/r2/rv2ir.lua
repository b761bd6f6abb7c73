-- SPDX-License-Identifier: Apache-2.0
-- rv2ir.lua - writes the R2 programs from compiled kernels: the disassembly of one RV64 function and what it calls, cut into
-- basic blocks, one IR block each. It knows the few instructions that the kernels use and stops at any other.
--   lua5.4 rv2ir.lua ELF ENTRY > program.ir      ELF linked at 0x80000000, ENTRY one of its functions

local elf, entry = arg[1], arg[2]
local tool = "riscv64-linux-gnu-"
local INIT, LAST, STACK, MAX_INSNS = 0x80000f00, 0x80000f80, 0x80fff000, 64

local function lines_of(command)
    local pipe = assert(io.popen(command))
    local all = pipe:read("a")
    pipe:close()
    return all:gmatch("[^\n]+")
end

local insns, symbols = {}, {}
for line in lines_of(tool .. "objdump -d -M no-aliases,numeric " .. elf) do
    local pc, bytes, op, args = line:match("^%s*(%x+):%s+(%x+)%s+(%S+)%s*(%S*)")
    if pc then insns[#insns + 1] = { pc = tonumber(pc, 16), len = #bytes // 2, op = op:gsub("^c%.", ""), args = args } end
end
for line in lines_of(tool .. "nm " .. elf) do
    local at, name = line:match("^(%x+) %a (%S+)")
    if at then symbols[name] = tonumber(at, 16) end
end

local function split(args)
    local list = {}
    for a in args:gmatch("[^,]+") do list[#list + 1] = a end
    return list
end
local function number(s) return s:find("^%-?0x") and tonumber(s) or tonumber(s) end
local function slot(r) return r == "x0" and "zero" or r end
local function address(s)
    local off, base = s:match("^(%-?%w+)%((%w+)%)$")
    off = number(off)
    if off == 0 then return ("[%s]"):format(slot(base)) end
    return ("[%s %s %d]"):format(slot(base), off < 0 and "-" or "+", math.abs(off))
end
local function hex(v) return v < 0 and ("-0x%x"):format(-v) or ("0x%x"):format(v) end

local out -- ops of the instruction
local function emit(...) out[#out + 1] = string.format(...) end

local alu = { add = "add", sub = "sub", xor = "xor", ["or"] = "or", ["and"] = "and", mul = "mul", addw = "addw", subw = "subw",
    sll = "shl", srl = "shr", sra = "sar" }
local alui = { addi = "add_i", andi = "and_i", ori = "or_i", xori = "xor_i", slli = "shl_i", srli = "shr_i", srai = "sar_i",
    addiw = "addw_i", addi16sp = "add_i" }
local load = { ld = "8", ldsp = "8", lw = "s4", lwsp = "s4", lwu = "4", lbu = "1", fld = "8" }
local store = { sd = "8", sdsp = "8", sw = "4", swsp = "4", fsd = "8", fsdsp = "8" }
local branch = { beq = "eq", bne = "ne", blt = "lt", bge = "ge", bltu = "ltu", bgeu = "geu" }
local fp = { ["fadd.d"] = "fadd", ["fsub.d"] = "fsub", ["fmul.d"] = "fmul" }

local function translate(i)
    local a = split(i.args)
    local op, d = i.op, slot(a[1] or "")
    if alui[op] then -- the compressed forms name the register once
        local src, imm = #a == 3 and slot(a[2]) or d, number(a[#a])
        if src == "zero" and alui[op] == "add_i" then emit("movi %s, %s", d, hex(imm))
        elseif imm == 0 and alui[op] == "add_i" then emit("mov %s, %s", d, src)
        elseif imm == 0 and alui[op] == "addw_i" then emit("sx32 %s, %s", d, src)
        else emit("%s %s, %s, %s", alui[op], d, src, hex(imm)) end
    elseif alu[op] then
        local x, y = slot(#a == 3 and a[2] or a[1]), slot(a[#a])
        emit("%s %s, %s, %s", alu[op], d, x, y)
    elseif op == "mv" then emit("mov %s, %s", d, slot(a[2]))
    elseif op == "li" then emit("movi %s, %s", d, hex(number(a[2])))
    elseif op == "lui" or op == "auipc" then
        local v = (number(a[2]) << 12) & 0xffffffff
        if v >= 1 << 31 then v = v - (1 << 32) end
        emit("movi %s, %s", d, hex(op == "lui" and v or i.pc + v))
    elseif load[op] then emit("ld.%s %s, %s", load[op], d, address(a[2]))
    elseif store[op] then emit("st.%s %s, %s", store[op], address(a[2]), d)
    elseif fp[op] then emit("%s.f64.dyn %s, %s, %s", fp[op], a[1], a[2], a[3])
    elseif op == "fcvt.d.w" then emit("call.i2d %s, %s, 0", a[1], slot(a[2]))
    elseif op == "fmv.d.x" then emit("mov %s, %s", a[1], slot(a[2]))
    elseif branch[op] then
        emit("brcond.%s %s, %s, 0x%s", branch[op], d, slot(a[2]), a[3])
        emit("jmp 0x%x", i.pc + i.len)
    elseif op == "j" then emit("jmp 0x%s", a[1])
    elseif op == "jal" then
        assert(a[1] == "x1", i.args)
        emit("movi x1, 0x%x", i.pc + i.len)
        emit("jmp.call 0x%s", a[2])
    elseif op == "jr" then emit("jmpr%s %s, 0", a[1] == "x1" and ".ret" or "", d)
    else error(("%x: no rule for %s %s"):format(i.pc, op, i.args)) end
end

local leader = {}
for n, i in ipairs(insns) do
    local target = i.args:match("^.-,?(%x+)$")
    local is_branch, is_end = branch[i.op], i.op == "j" or i.op == "jal" or i.op == "jr"
    if is_branch or i.op == "j" or i.op == "jal" then leader[tonumber(i.args:match("(%x+)$"), 16)] = true end
    if is_branch or is_end then leader[i.pc + i.len] = true end
    if n == 1 then leader[i.pc] = true end
end

print("# SPDX-License-Identifier: Apache-2.0")
print(("# %s: made by rv2ir.lua from RV64 code; 0x%x begins, 0x%x ends"):format(entry, INIT, LAST))
print(("block pc=0x%x mode=0x0"):format(INIT))
local at = 0
local function init(...)
    print(("insn %d len=4 row=0"):format(at))
    for _, op in ipairs { ... } do print("  " .. op) end
    at = at + 1
end
init(("movi x1, 0x%x"):format(LAST))
init(("movi x2, 0x%x"):format(STACK))
init(("movi x3, 0x%x"):format(symbols["__global_pointer$"]))
for line in lines_of(tool .. "objdump -s -j .sdata " .. elf) do
    local base, words = line:match("^ (%x+) (.-)  ")
    if base then
        base, words = tonumber(base, 16), words:gsub(" ", "")
        for k = 0, #words // 16 - 1 do
            local v = ("<I8"):unpack((words:sub(16 * k + 1, 16 * k + 16):gsub("%x%x", function(b) return string.char(tonumber(b, 16)) end)))
            if v ~= 0 then
                init(("movi %%0, 0x%x"):format(v), ("movi %%1, 0x%x"):format(base + 8 * k), "st.8 [%1], %0")
            end
        end
    end
end
init(("jmp.call 0x%x"):format(symbols[entry]))
print(("block pc=0x%x mode=0x0\ninsn 0 len=4 row=0\n  stop.0 x1, 0"):format(LAST))

local count = 0
for n, i in ipairs(insns) do
    if leader[i.pc] or count == MAX_INSNS then
        print(("block pc=0x%x mode=0x0"):format(i.pc))
        count = 0
    end
    out = {}
    translate(i)
    local following = insns[n + 1]
    if following and (leader[following.pc] or count == MAX_INSNS - 1) and not out[#out]:find("^jmp") then
        emit("jmp 0x%x", following.pc)
    end
    print(("insn %d len=%d row=0"):format(count, i.len))
    for _, op in ipairs(out) do print("  " .. op) end
    count = count + 1
end
