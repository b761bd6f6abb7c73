-- SPDX-License-Identifier: Apache-2.0
-- test.lua CC WORK-FOLDER ROOT - the tables of tests/: their names are the claims.
--   err_*.decode  is refused, with the text of its line "# error: ..." after the file's name; nothing is written
--   ok_*.decode   is taken, the output compiles without a warning, and each "# has: ..." is somewhere in it
local cc, work, root = arg[1], arg[2], arg[3]
local ntests, nfailed = 0, 0

local function read(path)
    local f = io.open(path)
    if not f then return nil end
    local text = f:read("a")
    f:close()
    return text
end

local function quote(s) return "'" .. s:gsub("'", "'\\''") .. "'" end

local function run(...)
    local words = {}
    for _, w in ipairs { ... } do words[#words + 1] = quote(w) end
    local p = io.popen(table.concat(words, " ") .. " 2>&1")
    local text = p:read("a")
    return p:close(), text
end

local function fail(path, ...)
    nfailed = nfailed + 1
    print(("%s: %s"):format(path, string.format(...)))
end

local function check_refused(path, ok, said, out_h)
    local want = read(path):match("# error: ([^\n]+)")
    if not want then return fail(path, "has no line '# error: ...'") end
    if ok then return fail(path, "was taken") end
    if not said:find(path .. ":" .. want, 1, true) then return fail(path, "said %s, expected %s", said, want) end
    if read(out_h) then return fail(path, "left output behind") end
end

local function check_taken(path, ok, said, out_h, out_c)
    if not ok then return fail(path, "was refused: %s", said) end
    local output = read(out_h) .. read(out_c)
    for want in read(path):gmatch("# has: ([^\n]+)") do
        if not output:find(want, 1, true) then fail(path, "no %s in the output", want) end
    end
    local compiled, errors = run(cc, "-std=gnu17", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-I" .. root, "-I" .. work, out_c)
    if not compiled then fail(path, "does not compile: %s", errors) end
end

local list = io.popen("ls tests/*.decode")
for path in list:lines() do
    ntests = ntests + 1
    local out_h, out_c = work .. "/test_decode.h", work .. "/test_decode.c"
    os.remove(out_h)
    os.remove(out_c)
    local ok, said = run(arg[-1], "decodegen.lua", "t0", out_h, out_c, path)
    if path:find("/err_", 1, true) then
        check_refused(path, ok, said, out_h)
    else
        check_taken(path, ok, said, out_h, out_c)
    end
end
list:close()
print(("%d tables, %d failed"):format(ntests, nfailed))
os.exit(nfailed == 0 and ntests > 0)
