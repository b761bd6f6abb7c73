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

local schema = read(arg[1])
local known = {
    ["$schema"] = true, id = true, title = true, description = true, default = true, definitions = true, pattern = true, ["$ref"] = true, type = true,
    required = true, properties = true, additionalProperties = true, items = true, enum = true, const = true, minimum = true,
    maximum = true, minItems = true, uniqueItems = true, format = true, anyOf = true, oneOf = true,
}

local function type_of(v)
    if v == null then return "null" end
    if type(v) == "table" then return v.is_object and "object" or "array" end
    return math.type(v) == "integer" and "integer" or type(v)
end

-- RFC 3986: the characters of a URI reference; an absolute one begins with a scheme. RFC 3339, as far as a pattern tells.
local formats = {
    ["uri-reference"] = function(v)
        return not v:gsub("%%%x%x", ""):find("[^%w%-._~:/?#%[%]@!$&'()*+,;=]")
    end,
    ["date-time"] = function(v) return v:find("^%d%d%d%d%-%d%d%-%d%d[Tt]%d%d:%d%d:%d%d[%d.]*[Zz+-]") end,
}
function formats.uri(v) return v:find("^%a[%w+.-]*:") and formats["uri-reference"](v) end

local function same(a, b)
    if type_of(a) ~= type_of(b) or type(a) ~= "table" then return a == b end
    if a.is_array then
        for i = 1, math.max(#a.items, #b.items) do
            if not same(a.items[i], b.items[i]) then return false end
        end
        return true
    end
    for _, key in ipairs(a.keys) do
        if b.of[key] == nil or not same(a.of[key], b.of[key]) then return false end
    end
    return #a.keys == #b.keys
end

local check

-- nil, or where and what is wrong.
local function check_object(v, o, path)
    for _, key in ipairs(o.required and o.required.items or {}) do
        if v.of[key] == nil then return path .. ": has no " .. key end
    end
    for _, key in ipairs(v.keys) do
        local sub = o.properties and o.properties.of[key]
        if not sub and type(o.additionalProperties) == "table" then sub = o.additionalProperties end
        if not sub and o.additionalProperties == false then return path .. ": has the unknown field " .. key end
        local wrong = sub and check(v.of[key], sub, path .. "." .. key)
        if wrong then return wrong end
    end
end

local function check_array(v, o, path)
    if o.minItems and #v.items < o.minItems then return path .. ": has too few items" end
    for i, item in ipairs(v.items) do
        local wrong = o.items and check(item, o.items, ("%s[%d]"):format(path, i - 1))
        for k = 1, o.uniqueItems and i - 1 or 0 do
            if same(v.items[k], item) then wrong = ("%s[%d]: is there twice"):format(path, i - 1) end
        end
        if wrong then return wrong end
    end
end

local function check_choices(v, o, path)
    for _, word in ipairs({ "anyOf", "oneOf" }) do
        local fits, why = 0, nil
        for _, choice in ipairs(o[word] and o[word].items or {}) do
            local wrong = check(v, choice, path)
            fits = fits + (wrong and 0 or 1)
            why = why or wrong
        end
        if o[word] and (fits == 0 or word == "oneOf" and fits > 1) then return why or path .. ": fits more than one" end
    end
end

function check(v, s, path)
    for _, key in ipairs(s.keys) do
        if not known[key] then fail("%s: keyword %s is not known here", arg[1], key) end
    end
    local o = s.of
    if o["$ref"] then
        local part = o["$ref"]:match("^#/definitions/(.+)$")
        return check(v, schema.of.definitions.of[part] or fail("no definition %s", o["$ref"]), path)
    end
    if o.type then
        local kinds = type(o.type) == "table" and o.type.items or { o.type }
        local fits = false
        for _, kind in ipairs(kinds) do
            fits = fits or kind == type_of(v) or kind == "number" and type_of(v) == "integer"
        end
        if not fits then return path .. ": is " .. type_of(v) end
    end
    if o.const ~= nil and v ~= o.const then return path .. ": is not " .. tostring(o.const) end
    if o.enum then
        local fits = false
        for _, word in ipairs(o.enum.items) do fits = fits or word == v end
        if not fits then return path .. ": is none of the enumeration: " .. tostring(v) end
    end
    if type(v) == "number" and (o.minimum and v < o.minimum or o.maximum and v > o.maximum) then return path .. ": is out of range" end
    if o.format and type(v) == "string" then
        local fits = formats[o.format] or fail("%s: format %s is not known here", arg[1], o.format)
        if not fits(v) then return path .. ": is no " .. o.format .. ": " .. v end
    end
    local wrong
    if type_of(v) == "object" then
        wrong = check_object(v, o, path)
    elseif type_of(v) == "array" then
        wrong = check_array(v, o, path)
    end
    return wrong or check_choices(v, o, path)
end

for i = 2, #arg do
    local wrong = check(read(arg[i]), schema, "$")
    if wrong then fail("%s: %s", arg[i], wrong) end
    print("ok: " .. arg[i])
end
