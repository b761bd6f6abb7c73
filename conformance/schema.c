/* SPDX-License-Identifier: Apache-2.0 */
#include "conformance/language.h"
#include "sim/base/json.h"
#include "sim/guest/exts.h"

#include <stdio.h>

/* The schema serves editors: it knows every word and its place. What needs more than that (names, widths, spelling of
 * numbers, what checks nothing) only the loader refuses. Guest maps may stand for any value, so each type allows them.
 */

static void ref(Json *j, const char *definition)
{
    char path[80];
    snprintf(path, sizeof path, "#/definitions/%s", definition);
    json_open(j, '{');
    json_kstr(j, "$ref", path);
    json_close(j, '}');
}

static void key_ref(Json *j, const char *key, const char *definition)
{
    json_key(j, key);
    ref(j, definition);
}

static void type_of(Json *j, const char *type)
{
    json_open(j, '{');
    json_kstr(j, "type", type);
}

static void any_of(Json *j)
{
    json_open(j, '{');
    json_key(j, "anyOf");
    json_open(j, '[');
}

static void any_end(Json *j)
{
    json_close(j, ']');
    json_close(j, '}');
}

static void pattern(Json *j, const char *regex)
{
    type_of(j, "string");
    json_kstr(j, "pattern", regex);
    json_close(j, '}');
}

static void list_of(Json *j, const char *definition)
{
    type_of(j, "array");
    json_ku64(j, "minItems", 1);
    key_ref(j, "items", definition);
    json_close(j, '}');
}

static void one_word(Json *j, const char *word)
{
    json_open(j, '{');
    json_kstr(j, "const", word);
    json_close(j, '}');
}

static void words_open(Json *j)
{
    json_open(j, '{');
    json_key(j, "enum");
    json_open(j, '[');
}

static void words_end(Json *j)
{
    json_close(j, ']');
    json_close(j, '}');
}

static void words(Json *j, const char *const *list, size_t n)
{
    words_open(j);
    for (size_t i = 0; i < n; i++) {
        json_str(j, list[i]);
    }
    words_end(j);
}

static void name_word(Json *j)
{
    pattern(j, "^\\$[A-Za-z_][A-Za-z0-9_]*$");
}

/* An open map: any keys of the author's, each of the definition. */
static void map_of(Json *j, const char *definition)
{
    type_of(j, "object");
    json_ku64(j, "minProperties", 1);
    key_ref(j, "additionalProperties", definition);
    json_close(j, '}');
}

static void key_row(Json *j, const KeyInfo *key)
{
    json_key(j, key->name);
    json_open(j, '{');
    json_kstr(j, "description", key->doc);
    json_key(j, "allOf"); /* beside $ref draft-07 ignores all others */
    json_open(j, '[');
    ref(j, type_name(key->type));
    json_close(j, ']');
    json_close(j, '}');
}

static void scope_keys(Json *j, Scope scope)
{
    size_t n = 0;
    const KeyInfo *keys = key_table(&n);
    for (size_t i = 0; i < n; i++) {
        if (keys[i].scope == scope) {
            key_row(j, &keys[i]);
        }
    }
}

static void object_open(Json *j)
{
    type_of(j, "object");
    json_ku64(j, "minProperties", 1);
    json_kbool(j, "additionalProperties", false);
}

static void scope_object(Json *j, Scope scope)
{
    object_open(j);
    if (scope == SCOPE_xfail || scope == SCOPE_asset || scope == SCOPE_native) {
        json_key(j, "required");
        json_open(j, '[');
        json_str(j, scope == SCOPE_xfail ? "reason" : scope == SCOPE_asset ? "path" : "call");
        json_close(j, ']');
    }
    json_key(j, "properties");
    json_open(j, '{');
    scope_keys(j, scope);
    json_close(j, '}');
    json_close(j, '}');
}

/* ---- types of keys.def ---- */

static void exit_words(Json *j)
{
    words_open(j);
    for (int i = 0; i < EXIT_COUNT; i++) {
        json_str(j, exit_name((ExitKind)i));
    }
    words_end(j);
}

static void guest_words(Json *j)
{
    words_open(j);
    for (unsigned g = 1; g < GUEST_COUNT; g++) {
        json_str(j, guest_name((GuestId)g));
    }
    words_end(j);
}

static void cap_words(Json *j)
{
    words_open(j);
    for (int i = 0; i < CAP_COUNT; i++) {
        json_str(j, cap_name((Cap)i));
    }
    words_end(j);
}

static void ext_words(Json *j)
{
    words_open(j);
    for (size_t i = 0; exts_name(i); i++) {
        json_str(j, exts_name(i));
    }
    words_end(j);
}

/* {isa: extension}, or a list of them. */
static void need_isa(Json *j)
{
    type_of(j, "object");
    json_key(j, "required");
    json_open(j, '[');
    json_str(j, "isa");
    json_close(j, ']');
    json_key(j, "properties");
    json_open(j, '{');
    json_key(j, "isa");
    json_open(j, '{');
    json_key(j, "oneOf");
    json_open(j, '[');
    ext_words(j);
    type_of(j, "array");
    json_ku64(j, "minItems", 1);
    json_key(j, "items");
    ext_words(j);
    json_close(j, '}');
    json_close(j, ']');
    json_close(j, '}');
    json_close(j, '}');
    json_kbool(j, "additionalProperties", false);
    json_close(j, '}');
}

/* A capability, {capability: full}, or {isa: extension}. */
static void need_words(Json *j)
{
    json_open(j, '{');
    json_key(j, "oneOf");
    json_open(j, '[');
    cap_words(j);
    type_of(j, "object");
    json_ku64(j, "minProperties", 1);
    json_ku64(j, "maxProperties", 1);
    json_key(j, "propertyNames");
    cap_words(j);
    json_key(j, "additionalProperties");
    one_word(j, "full");
    json_close(j, '}');
    need_isa(j);
    json_close(j, ']');
    json_close(j, '}');
}

static void type_devices(Json *j, TypeId type)
{
    (void)type;
    size_t n = 0;
    const char *const *list = device_words(&n);
    one_word(j, "all");
    type_of(j, "array");
    json_ku64(j, "minItems", 1);
    json_key(j, "items");
    words(j, list, n);
    json_close(j, '}');
}

static void words_list(Json *j, void (*items)(Json *j))
{
    type_of(j, "array");
    json_ku64(j, "minItems", 1);
    json_key(j, "items");
    items(j);
    json_close(j, '}');
}

static void type_each(Json *j, TypeId type)
{
    (void)type;
    type_of(j, "array"); /* table */
    json_ku64(j, "minItems", 2);
    key_ref(j, "items", "list");
    json_close(j, '}');
    ref(j, "grid");
    map_of(j, "list"); /* product */
}

static void type_items_or_map(Json *j, TypeId type)
{
    (void)type;
    ref(j, "head");
    ref(j, "items");
    map_of(j, "vcpu_run");
}

static void type_numbers(Json *j, TypeId type)
{
    type_of(j, "integer");
    json_close(j, '}');
    pattern(j, type == TYPE_size   ? "^(0x[0-9a-fA-F]+|[1-9][0-9]*[KMG]?|\\$[A-Za-z_][A-Za-z0-9_]*)$"
               : type == TYPE_time ? "^([1-9][0-9]*(ns|us|ms|s)|\\$[A-Za-z_][A-Za-z0-9_]*)$"
                                   : "^[-$(0-9]");
}

static void type_value(Json *j, TypeId type)
{
    (void)type;
    ref(j, "int");
    type_of(j, "string");
    json_ku64(j, "minLength", 1);
    json_close(j, '}');
    ref(j, "matcher");
    type_of(j, "array");
    json_ku64(j, "minItems", 1);
    json_close(j, '}');
    ref(j, "bytes");
}

static void type_scalar_words(Json *j, TypeId type)
{
    static const char *const starts[] = {"kernel", "paged", "user", "machine", "real", "protected"};
    static const char *const models[] = {"virtualcpu", "axvcpu"};
    if (type == TYPE_start) {
        words(j, starts, ARRAY_LEN(starts));
    } else if (type == TYPE_lifecycle) {
        words(j, models, ARRAY_LEN(models));
    } else if (type == TYPE_cap) {
        cap_words(j);
    } else if (type == TYPE_flags) {
        pattern(j, "^rw?x?u?$");
    } else if (type == TYPE_asset) {
        name_word(j);
    } else {
        one_word(j, type == TYPE_probe ? "probe" : type == TYPE_into ? "new" : "completed");
    }
    name_word(j);
}

static void type_text_kinds(Json *j, TypeId type)
{
    type_of(j, "string");
    json_ku64(j, "minLength", 1);
    json_close(j, '}');
    if (type != TYPE_text) {
        type_of(j, "integer"); /* a word that YAML 1.1 editors read as something else */
        json_close(j, '}');
        type_of(j, "boolean");
        json_close(j, '}');
    }
    if (type == TYPE_console) {
        ref(j, "matcher");
    }
}

static void type_maps(Json *j, TypeId type)
{
    switch ((int)type) {
    case TYPE_memory:
        map_of(j, "region_or_size");
        break;
    case TYPE_pages:
        map_of(j, "page");
        break;
    case TYPE_vcpus:
        type_of(j, "object");
        json_ku64(j, "minProperties", 1);
        key_ref(j, "additionalProperties", "vcpu_or_nothing");
        json_close(j, '}');
        break;
    case TYPE_code:
        ref(j, "text");
        ref(j, "codefile");
        break;
    case TYPE_map:
        ref(j, "word");
        ref(j, "mapping");
        break;
    case TYPE_fake:
        list_of(j, "text");
        map_of(j, "list");
        break;
    case TYPE_routines:
        map_of(j, "steps");
        break;
    case TYPE_values:
        map_of(j, "value");
        break;
    case TYPE_fragments:
        map_of(j, "code");
        break;
    case TYPE_assets:
        map_of(j, "asset_of_guest");
        break;
    default:
        break;
    }
}

static void type_reply(Json *j, TypeId type)
{
    (void)type;
    static const char *const replies[] = {"fault", "skip", "retry"};
    ref(j, "int");
    words(j, replies, ARRAY_LEN(replies));
    ref(j, "cpuid");
}

static void type_lists(Json *j, TypeId type)
{
    switch ((int)type) {
    case TYPE_scenarios:
        list_of(j, "scenario");
        break;
    case TYPE_words:
    case TYPE_states:
        list_of(j, "word");
        if (type == TYPE_states) {
            one_word(j, "none");
        }
        break;
    case TYPE_guests:
        words_list(j, guest_words);
        break;
    case TYPE_caps:
        words_list(j, need_words);
        break;
    case TYPE_exits:
        words_list(j, exit_words);
        break;
    case TYPE_items:
        list_of(j, "item");
        break;
    case TYPE_steps:
        list_of(j, "step");
        one_word(j, "none"); /* an empty routine */
        break;
    case TYPE_times:
        ref(j, "int");
        list_of(j, "int");
        break;
    default:
        type_of(j, "array");
        json_ku64(j, "minItems", 1);
        json_close(j, '}');
        break;
    }
}

static void type_constants(Json *j, TypeId type)
{
    json_open(j, '{');
    if (type == TYPE_version) {
        json_ku64(j, "const", 1);
    } else if (type == TYPE_yes) {
        json_kbool(j, "const", true);
    }
    json_close(j, '}'); /* any: {} */
}

static void type_defaults(Json *j, TypeId type)
{
    (void)type;
    scope_object(j, SCOPE_scenario);
}

typedef void TypeWriter(Json *j, TypeId type);
/* NULL: the type is a scope of the same name. */
static TypeWriter *const WRITERS[TYPE_COUNT] = {
    [TYPE_version] = type_constants,
    [TYPE_any] = type_constants,
    [TYPE_yes] = type_constants,
    [TYPE_int] = type_numbers,
    [TYPE_size] = type_numbers,
    [TYPE_time] = type_numbers,
    [TYPE_text] = type_text_kinds,
    [TYPE_word] = type_text_kinds,
    [TYPE_console] = type_text_kinds,
    [TYPE_probe] = type_scalar_words,
    [TYPE_cap] = type_scalar_words,
    [TYPE_start] = type_scalar_words,
    [TYPE_lifecycle] = type_scalar_words,
    [TYPE_into] = type_scalar_words,
    [TYPE_flags] = type_scalar_words,
    [TYPE_completed] = type_scalar_words,
    [TYPE_asset] = type_scalar_words,
    [TYPE_scenarios] = type_lists,
    [TYPE_words] = type_lists,
    [TYPE_list] = type_lists,
    [TYPE_guests] = type_lists,
    [TYPE_caps] = type_lists,
    [TYPE_items] = type_lists,
    [TYPE_steps] = type_lists,
    [TYPE_exits] = type_lists,
    [TYPE_states] = type_lists,
    [TYPE_times] = type_lists,
    [TYPE_routines] = type_maps,
    [TYPE_fragments] = type_maps,
    [TYPE_assets] = type_maps,
    [TYPE_code] = type_maps,
    [TYPE_memory] = type_maps,
    [TYPE_pages] = type_maps,
    [TYPE_vcpus] = type_maps,
    [TYPE_fake] = type_maps,
    [TYPE_map] = type_maps,
    [TYPE_values] = type_maps,
    [TYPE_defaults] = type_defaults,
    [TYPE_each] = type_each,
    [TYPE_devices] = type_devices,
    [TYPE_run] = type_items_or_map,
    [TYPE_reply] = type_reply,
    [TYPE_value] = type_value,
};

static void types(Json *j)
{
    for (int i = 0; i < TYPE_COUNT; i++) {
        if (!WRITERS[i]) {
            continue;
        }
        json_key(j, type_name((TypeId)i));
        any_of(j);
        WRITERS[i](j, (TypeId)i);
        if (i != TYPE_version && i != TYPE_scenarios) {
            ref(j, "by_guest");
        }
        any_end(j);
    }
}

/* ---- scopes ---- */

static const char *scope_name(Scope scope)
{
#define X(name, shown) #name,
    static const char *const names[] = {SCOPE_MAP(X)};
#undef X
    /* types have these two names already */
    return scope == SCOPE_asset ? "asset_file" : scope == SCOPE_map ? "mapping" : names[scope];
}

static void scopes(Json *j)
{
    for (int i = 0; i < SCOPE_COUNT; i++) {
        if (i == SCOPE_suite || i == SCOPE_item) {
            continue;
        }
        json_key(j, scope_name((Scope)i));
        any_of(j);
        scope_object(j, (Scope)i);
        if (i == SCOPE_region || i == SCOPE_page || i == SCOPE_vcpu || i == SCOPE_matcher) {
            ref(j, "by_guest");
        }
        any_end(j);
    }
}

/* ---- items: the exits and their fields ---- */

static void field_rows(Json *j, int head)
{
    size_t n = 0;
    const FieldInfo *fields = field_table(&n);
    for (size_t i = 0; i < n; i++) {
        if (fields[i].head == head || fields[i].head < 0) {
            json_key(j, field_name(fields[i].field));
            json_open(j, '{');
            json_kstr(j, "description", fields[i].doc);
            json_key(j, "allOf");
            json_open(j, '[');
            ref(j, "value");
            json_close(j, ']');
            json_close(j, '}');
        }
    }
}

static void head_fields(Json *j, int head)
{
    json_key(j, head_name(head));
    any_of(j);
    one_word(j, "any");
    object_open(j);
    json_key(j, "properties");
    json_open(j, '{');
    field_rows(j, head);
    json_close(j, '}');
    json_close(j, '}');
    ref(j, "by_guest");
    any_end(j);
}

static void item(Json *j)
{
    json_key(j, "head");
    any_of(j);
    words_open(j);
    for (int i = 0; i <= HEAD_trap; i++) {
        json_str(j, head_name(i));
    }
    words_end(j);
    name_word(j);
    any_end(j);
    json_key(j, "item");
    any_of(j);
    ref(j, "head");
    object_open(j);
    json_key(j, "properties");
    json_open(j, '{');
    for (int i = 0; i <= HEAD_trap; i++) {
        head_fields(j, i);
    }
    scope_keys(j, SCOPE_item);
    json_close(j, '}');
    json_close(j, '}');
    any_end(j);
}

static void helpers(Json *j)
{
    json_key(j, "by_guest");
    type_of(j, "object");
    json_ku64(j, "minProperties", 1);
    json_key(j, "propertyNames");
    guest_words(j);
    json_close(j, '}');
    json_key(j, "region_or_size");
    any_of(j);
    ref(j, "size");
    ref(j, "region");
    any_end(j);
    json_key(j, "asset_of_guest");
    type_of(j, "object");
    json_key(j, "propertyNames");
    guest_words(j);
    key_ref(j, "additionalProperties", "asset_file");
    json_close(j, '}');
    json_key(j, "vcpu_or_nothing");
    any_of(j);
    ref(j, "vcpu");
    type_of(j, "object");
    json_ku64(j, "maxProperties", 0);
    json_close(j, '}');
    any_end(j);
    json_key(j, "vcpu_run");
    any_of(j);
    ref(j, "head");
    ref(j, "items");
    any_end(j);
}

void schema_print(Buf *out)
{
    Json j = json_to(out, 1);
    json_open(&j, '{');
    json_kstr(&j, "$schema", "http://json-schema.org/draft-07/schema#");
    json_kstr(&j, "title", "Scenarios of conf");
    json_kstr(&j, "type", "object");
    json_kbool(&j, "additionalProperties", false);
    json_key(&j, "required");
    json_open(&j, '[');
    json_str(&j, "version");
    json_str(&j, "scenarios");
    json_close(&j, ']');
    json_key(&j, "patternProperties");
    json_open(&j, '{');
    json_key(&j, "^x-");
    json_open(&j, '{');
    json_close(&j, '}');
    json_close(&j, '}');
    json_key(&j, "properties");
    json_open(&j, '{');
    scope_keys(&j, SCOPE_suite);
    json_close(&j, '}');
    json_key(&j, "definitions");
    json_open(&j, '{');
    helpers(&j);
    types(&j);
    scopes(&j);
    item(&j);
    json_close(&j, '}');
    json_close(&j, '}');
}
