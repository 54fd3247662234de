# SPDX-License-Identifier: Apache-2.0
# The HyperPod connector against a daemon of its own process, and without libcurl, what it says.
add_executable(kvr_hyperpod_daemon ../harness/kvr_hyperpod_daemon.c ../harness/kvr_hyperpod_ask.c
  ../harness/kvr_hyperpod_keep.c)
target_link_libraries(kvr_hyperpod_daemon PRIVATE kvr_build Threads::Threads)
set(hyperpod_server ../harness/kvr_hyperpod_server.c)

function(kvr_hyperpod_test name label)
  kvr_test(${name} SOURCES ${ARGN} ${hyperpod_server}
    LAYERS ${layers} LIBS kvr_golden ${libs} LABELS hyperpod ${label})
  string(REPLACE "." "_" target "test_${name}")
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/connectors/table)
  target_compile_definitions(${target} PRIVATE
    KVR_HYPERPOD_DAEMON="$<TARGET_FILE:kvr_hyperpod_daemon>")
  add_dependencies(${target} kvr_hyperpod_daemon)
endfunction()

kvr_connector_test(connectors.hyperpod_answer unit test_hyperpod_answer.c)
# In a build with libcurl too: the object that calls it gives way to that of a build without.
kvr_test(connectors.http_none SOURCES test_http_none.c
  ${PROJECT_SOURCE_DIR}/connectors/wire/kvr_httpc_lib_none.c
  $<FILTER:$<TARGET_OBJECTS:kvr_wire>,EXCLUDE,kvr_httpc_lib>
  LAYERS base connectors LIBS ${libs} ${kvr_tls} LABELS unit hyperpod)
foreach(target IN ITEMS hyperpod_answer http_none)
  foreach(dir IN ITEMS connectors connectors/table connectors/wire runtime/base)
    target_include_directories(test_connectors_${target} PRIVATE ${PROJECT_SOURCE_DIR}/${dir})
  endforeach()
endforeach()

if(NOT kvr_curl)
  return()
endif()
kvr_hyperpod_test(connectors.conformance_hyperpod conformance subject_hyperpod.c ${conformance})
foreach(noun IN ITEMS hyperpod hyperpod_segment hyperpod_faults)
  kvr_hyperpod_test(connectors.${noun} "" test_${noun}.c ../harness/kvr_peer.c)
  target_include_directories(test_connectors_${noun} PRIVATE ${PROJECT_SOURCE_DIR}/connectors/wire
    ${PROJECT_SOURCE_DIR}/runtime/base)
endforeach()
