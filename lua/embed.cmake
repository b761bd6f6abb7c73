# SPDX-License-Identifier: Apache-2.0
# cmake -DIN=prelude.lua -DOUT=prelude_text.c -DNAME=lua_prelude -P embed.cmake
# A text file as a C array: NAME_text (followed by a 0) and NAME_bytes.
file(READ ${IN} hex HEX)
string(LENGTH "${hex}" digits)
math(EXPR bytes "${digits} / 2")
string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
file(WRITE ${OUT} "#include <stddef.h>
extern const unsigned char ${NAME}_text[];
extern const size_t ${NAME}_bytes;
const unsigned char ${NAME}_text[] = {
${hex}0};
const size_t ${NAME}_bytes = ${bytes};
")
