# SPDX-License-Identifier: Apache-2.0
# The Redis connector over TLS, and without OpenSSL, that it says what to do.
set(tls_server ../harness/kvr_test_ca.c ../harness/kvr_redis_server.c)

function(kvr_tls_test name label)
  kvr_test(${name} SOURCES ${ARGN} LAYERS ${layers} LIBS kvr_golden ${libs} LABELS tls ${label})
  string(REPLACE "." "_" target "test_${name}")
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/connectors/table)
endfunction()

# In a build with OpenSSL too: the objects that call it give way to those of a build without.
kvr_test(connectors.tls_none SOURCES test_tls_none.c
  ${PROJECT_SOURCE_DIR}/connectors/wire/kvr_tls_lib_none.c
  $<FILTER:$<TARGET_OBJECTS:kvr_wire>,EXCLUDE,kvr_tls_lib>
  LAYERS base connectors LIBS ${libs} ${kvr_curl} LABELS unit tls)
foreach(dir IN ITEMS connectors/table connectors/wire runtime/base)
  target_include_directories(test_connectors_tls_none PRIVATE ${PROJECT_SOURCE_DIR}/${dir})
endforeach()
if(NOT kvr_tls)
  return()
endif()
kvr_tls_test(connectors.conformance_redis_tls "redis;conformance"
  subject_redis_tls.c ${conformance} ${tls_server})
foreach(noun IN ITEMS redis_tls redis_tls_files redis_tls_faults)
  kvr_tls_test(connectors.${noun} redis test_${noun}.c ../harness/kvr_peer.c
    ../harness/kvr_fault_proxy.c ${tls_server})
endforeach()
# Prints how the connector compares with a client of nothing but OpenSSL's calls.
kvr_tls_test(bench.redis_tls "redis;bench" ../bench/bench_redis_tls.c ${tls_server})
