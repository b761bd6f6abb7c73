-- SPDX-License-Identifier: Apache-2.0
-- Whole scenarios in Lua: where the cases are made by a program rather than listed.

for _, size in ipairs{1, 2, 4, 8} do
    scenario{
        name = "a typed write of " .. size .. " bytes changes its bytes only",
        tags = {"lua", "memory"},
        guests = {"riscv64", "aarch64", "x86_64"},
        memory = {buf = {size = "4K", fill = 0xee}},
        script = function()
            local kind = "u" .. 8 * size
            forall(20, {at = one_of{8, 16, 256, 4080}, value = u64}, function(x)
                local addr = sym.buf + x.at
                vm.mem[kind](vm.mem, addr, x.value)
                expect(vm.mem[kind](vm.mem, addr), x.value & (size == 8 and -1 or (1 << 8 * size) - 1), kind)
                expect(vm.mem:u8(addr - 1), 0xee, "the byte before")
                expect(vm.mem:u8(addr + size), 0xee, "the byte behind")
                vm.mem[kind](vm.mem, addr, 0xeeeeeeeeeeeeeeee)
            end)
        end,
    }
end
