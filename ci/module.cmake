# SPDX-License-Identifier: Apache-2.0
# conf_module(NAME [DEPS module...] [LIBS lib...] [SOURCES extra...] [WITHOUT file...])
#   the *.c of the current folder as static library conf_NAME; *_test.c as the program NAME_test, a ctest;
#   each X_fuzz.c as the libFuzzer program X_fuzz when CONF_FUZZ is on. All includes are by full path from the root;
#   which folder may include which is checked by ci/includes.lua, part of every build.
add_library(conf_flags INTERFACE)
target_include_directories(conf_flags INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})
target_compile_definitions(conf_flags INTERFACE _GNU_SOURCE CONF_VERSION="${PROJECT_VERSION}")
target_compile_options(conf_flags INTERFACE -Wall -Wextra -Wshadow -Wswitch-enum -Wstrict-prototypes
    $<$<C_COMPILER_ID:Clang>:-Wno-gnu-variable-sized-type-not-at-end>
    -Wmissing-prototypes -Wvla -Wpointer-arith -Wwrite-strings $<$<BOOL:${CONF_WERROR}>:-Werror>)
if(WIN32) # what it lacks of POSIX (sim/base/windows), and the standard's printf; formats are checked where they are the compiler's too
    target_include_directories(conf_flags BEFORE INTERFACE ${CMAKE_SOURCE_DIR}/sim/base/windows)
    target_compile_definitions(conf_flags INTERFACE __USE_MINGW_ANSI_STDIO=1 _WIN32_WINNT=0x0A00)
    target_compile_options(conf_flags INTERFACE -Wno-format)
endif()
if(CONF_SANITIZE)
    target_compile_options(conf_flags INTERFACE -fsanitize=${CONF_SANITIZE} -fno-omit-frame-pointer
        -fno-sanitize-recover=all)
    target_link_options(conf_flags INTERFACE -fsanitize=${CONF_SANITIZE})
endif()
if(CONF_COVERAGE)
    target_compile_options(conf_flags INTERFACE --coverage -fprofile-update=atomic) # threads count too
    target_link_options(conf_flags INTERFACE --coverage -Wl,--wrap=_exit -Wl,--wrap=_Fork -Wl,--wrap=kill -Wl,--wrap=setrlimit)
    add_library(conf_gcov STATIC ci/gcov_exit.c)
    target_link_libraries(conf_flags INTERFACE conf_gcov)
endif()
if(CONF_FUZZ)
    target_compile_options(conf_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# conf_tests(NAME DIR folder DEPS module... [SOURCES extra...]): the tests and fuzz targets of a folder whose sources
#   belong to another library; extra: helpers that its tests share with others
function(conf_tests name)
    cmake_parse_arguments(M "" "DIR" "DEPS;SOURCES" ${ARGN})
    file(GLOB tests CONFIGURE_DEPENDS ${M_DIR}/*_test.c)
    file(GLOB fuzzers CONFIGURE_DEPENDS ${M_DIR}/*_fuzz.c)
    list(TRANSFORM M_DEPS PREPEND conf_ OUTPUT_VARIABLE deps)
    if(tests AND NOT WIN32)
        add_executable(${name}_test ${tests} ${M_SOURCES} ${CMAKE_SOURCE_DIR}/sim/base/test.c)
        target_link_libraries(${name}_test PRIVATE ${deps} Threads::Threads m)
        add_test(NAME unit_${name} COMMAND ${name}_test WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
        # only what hangs: minutes under a sanitizer become many on a machine with other work, as with the atomic counts of gcov
        set_tests_properties(unit_${name} PROPERTIES TIMEOUT 3000)
        if(CONF_FUZZ) # needs the libraries only
            set_target_properties(${name}_test PROPERTIES EXCLUDE_FROM_ALL ON)
        endif()
    endif()
    if(CONF_FUZZ)
        foreach(source ${fuzzers})
            get_filename_component(fuzzer ${source} NAME_WE)
            add_executable(${fuzzer} ${source})
            target_link_libraries(${fuzzer} PRIVATE ${deps} Threads::Threads -fsanitize=fuzzer)
        endforeach()
    endif()
endfunction()

function(conf_module name)
    cmake_parse_arguments(M "" "" "DEPS;LIBS;SOURCES;WITHOUT" ${ARGN})
    file(GLOB all CONFIGURE_DEPENDS *.c)
    list(TRANSFORM M_WITHOUT PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
    list(REMOVE_ITEM all ${M_WITHOUT} "")
    list(FILTER all EXCLUDE REGEX "(_test|_fuzz|_main|/main|/test)\\.c$")
    list(TRANSFORM M_DEPS PREPEND conf_ OUTPUT_VARIABLE deps)
    add_library(conf_${name} STATIC ${all} ${M_SOURCES})
    target_link_libraries(conf_${name} PUBLIC conf_flags ${deps} ${M_LIBS})
    conf_tests(${name} DIR ${CMAKE_CURRENT_SOURCE_DIR} DEPS ${name})
endfunction()

# conf_archive(TARGET NAME [lib...]): of an imported library its archive libNAME.a, and what that needs, if it is there: each shared library
# takes 0.05 ms of every start to load.
function(conf_archive target name)
    find_library(CONF_ARCHIVE_${name} lib${name}.a)
    mark_as_advanced(CONF_ARCHIVE_${name})
    if(CONF_ARCHIVE_${name})
        set_property(TARGET ${target} PROPERTY INTERFACE_LINK_LIBRARIES ${CONF_ARCHIVE_${name}} ${ARGN})
    endif()
endfunction()
