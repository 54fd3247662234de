# SPDX-License-Identifier: Apache-2.0
# The Redis connector over TLS, and without OpenSSL, that it says what to do.
# In a build with OpenSSL too: the objects that call it give way to those of a build without.
kvr_test(connectors.tls_none SOURCES test_tls_none.c
  ${PROJECT_SOURCE_DIR}/connectors/wire/kvr_tls_lib_none.c
  $<FILTER:$<TARGET_OBJECTS:kvr_wire>,EXCLUDE,kvr_tls_lib>
  LAYERS base connectors INCLUDES connectors/table connectors/wire runtime/base
  LIBS ${libs} ${kvr_curl} LABELS unit tls)
if(NOT kvr_tls)
  return()
endif()
kvr_connector_test(connectors.conformance_redis_tls tls redis conformance
  SOURCES subject_redis_tls.c LIBS kvr_conformance)
foreach(noun IN ITEMS redis_tls redis_tls_files redis_tls_faults redis_tls_crl redis_tls_resume)
  kvr_connector_test(connectors.${noun} tls redis SOURCES test_${noun}.c)
endforeach()
kvr_connector_test(connectors.redis_tls_cluster tls redis cluster SOURCES test_redis_tls_cluster.c)
# Prints how the connector compares with a client of nothing but OpenSSL's calls.
kvr_connector_test(bench.redis_tls tls redis bench SOURCES ../bench/bench_redis_tls.c)
# Prints what a session saves of a dial.
kvr_connector_test(bench.tls_dial tls redis bench SOURCES ../bench/bench_tls_dial.c)
