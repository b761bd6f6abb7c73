# SPDX-License-Identifier: Apache-2.0
# cmake "-DIN=a.js;b.js" -DOUT=app_text.c -DNAME=dash_app -P embed.cmake
# Text files, one after the other, as a C array: NAME_text (followed by a 0) and NAME_bytes.
set(hex)
foreach(file ${IN})
    file(READ ${file} one HEX)
    string(APPEND hex "${one}")
endforeach()
string(LENGTH "${hex}" digits)
math(EXPR bytes "${digits} / 2")
string(REGEX REPLACE "(................................................................)" "\\1\n" hex "${hex}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
file(WRITE ${OUT} "#include <stddef.h>
extern const unsigned char ${NAME}_text[];
extern const size_t ${NAME}_bytes;
const unsigned char ${NAME}_text[] = {
${hex}0};
const size_t ${NAME}_bytes = ${bytes};
")
