-- SPDX-License-Identifier: Apache-2.0
-- jsonschema.lua SCHEMA FILE... - holds JSON documents against a JSON Schema (draft-07): the keywords that our schemas of results use.
-- A keyword that it does not know is an error, so that no rule is passed over. `pattern` is not tried (Lua has other patterns).
local function fail(...)
    io.stderr:write(string.format(...), "\n")
    os.exit(1)
end

local null = {}

local function parse(text, name)
    local at = 1
    local value
    local function bad(what) fail("%s: byte %d: %s", name, at, what) end
    local function space() at = text:find("[^ \t\r\n]", at) or #text + 1 end
    local function expect(literal)
        if text:sub(at, at + #literal - 1) ~= literal then bad("expected " .. literal) end
        at = at + #literal
    end
    local function str()
        local result = {}
        expect('"')
        while true do
            local chunk, stop = text:match('^([^"\\]*)(["\\])', at)
            if not chunk then bad("a string without an end") end
            at = at + #chunk + 1
            result[#result + 1] = chunk
            if stop == '"' then return table.concat(result) end
            local c = text:sub(at, at)
            local plain = ({ n = "\n", t = "\t", r = "\r", b = "\b", f = "\f" })[c] or c
            at = at + 1
            if c == "u" then
                plain = utf8.char(tonumber(text:sub(at, at + 3), 16))
                at = at + 4
            end
            result[#result + 1] = plain
        end
    end
    local function list(close, item)
        at = at + 1
        space()
        if text:sub(at, at) == close then
            at = at + 1
            return
        end
        while true do
            item()
            space()
            local c = text:sub(at, at)
            at = at + 1
            if c == close then return end
            if c ~= "," then bad("expected , or " .. close) end
            space()
        end
    end
    function value()
        space()
        local c = text:sub(at, at)
        if c == "{" then
            local object = { is_object = true, keys = {}, of = {} }
            list("}", function()
                local key = str()
                space()
                expect(":")
                object.keys[#object.keys + 1] = key
                object.of[key] = value()
            end)
            return object
        elseif c == "[" then
            local array = { is_array = true, items = {} }
            list("]", function() array.items[#array.items + 1] = value() end)
            return array
        elseif c == '"' then
            return str()
        end
        local word = text:match("^[%w.+-]+", at) or bad("no value")
        at = at + #word
        if word == "null" then return null end
        if word == "true" or word == "false" then return word == "true" end
        return tonumber(word) or bad("no value: " .. word)
    end
    local result = value()
    space()
    if at <= #text then bad("something behind the end") end
    return result
end

local function read(name)
    local f = io.open(name) or fail("%s: cannot be read", name)
    local text = f:read("a")
    f:close()
    return parse(text, name)
end

local schema, name = read(arg[1]), nil
local known = {
    ["$schema"] = true, title = true, description = true, definitions = true, pattern = true, ["$ref"] = true, type = true,
    required = true, properties = true, additionalProperties = true, items = true, enum = true, const = true, minimum = true,
}

local function type_of(v)
    if v == null then return "null" end
    if type(v) == "table" then return v.is_object and "object" or "array" end
    return math.type(v) == "integer" and "integer" or type(v)
end

local function check(v, s, path)
    for _, key in ipairs(s.keys) do
        if not known[key] then fail("%s: keyword %s is not known here", arg[1], key) end
    end
    local o = s.of
    if o["$ref"] then
        local part = o["$ref"]:match("^#/definitions/(.+)$")
        return check(v, schema.of.definitions.of[part] or fail("no definition %s", o["$ref"]), path)
    end
    local function bad(what) fail("%s: %s: %s", name, path, what) end
    if o.type then
        local kinds = type(o.type) == "table" and o.type.items or { o.type }
        local fits = false
        for _, kind in ipairs(kinds) do
            fits = fits or kind == type_of(v) or kind == "number" and type_of(v) == "integer"
        end
        if not fits then bad("is " .. type_of(v)) end
    end
    if o.const ~= nil and v ~= o.const then bad("is not " .. tostring(o.const)) end
    if o.enum then
        local fits = false
        for _, word in ipairs(o.enum.items) do fits = fits or word == v end
        if not fits then bad("is none of the enumeration: " .. tostring(v)) end
    end
    if o.minimum and v < o.minimum then bad("is too small") end
    if type_of(v) == "object" then
        for _, key in ipairs(o.required and o.required.items or {}) do
            if v.of[key] == nil then bad("has no " .. key) end
        end
        for _, key in ipairs(v.keys) do
            local sub = o.properties and o.properties.of[key]
            if sub then
                check(v.of[key], sub, path .. "." .. key)
            elseif o.additionalProperties == false then
                bad("has the unknown field " .. key)
            end
        end
    elseif type_of(v) == "array" and o.items then
        for i, item in ipairs(v.items) do check(item, o.items, ("%s[%d]"):format(path, i - 1)) end
    end
end

for i = 2, #arg do
    name = arg[i]
    check(read(name), schema, "$")
    print("ok: " .. name)
end
