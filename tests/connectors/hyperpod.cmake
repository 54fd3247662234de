# SPDX-License-Identifier: Apache-2.0
# The HyperPod connector against a daemon of its own process, and without libcurl, what it says.
add_executable(kvr_hyperpod_daemon ../harness/kvr_hyperpod_daemon.c ../harness/kvr_hyperpod_ask.c
  ../harness/kvr_hyperpod_keep.c)
target_link_libraries(kvr_hyperpod_daemon PRIVATE kvr_build Threads::Threads)

# Starts it.
add_library(kvr_hyperpod_server STATIC ../harness/kvr_hyperpod_server.c)
target_include_directories(kvr_hyperpod_server PUBLIC ../harness)
target_link_libraries(kvr_hyperpod_server PRIVATE kvr_build)
target_compile_definitions(kvr_hyperpod_server PRIVATE KVR_HYPERPOD_DAEMON="$<TARGET_FILE:kvr_hyperpod_daemon>")
add_dependencies(kvr_hyperpod_server kvr_hyperpod_daemon)

kvr_connector_test(connectors.hyperpod_answer unit SOURCES test_hyperpod_answer.c
  INCLUDES connectors connectors/wire runtime/base)
# In a build with libcurl too: the object that calls it gives way to that of a build without.
kvr_test(connectors.http_none SOURCES test_http_none.c
  ${PROJECT_SOURCE_DIR}/connectors/wire/kvr_httpc_lib_none.c
  $<FILTER:$<TARGET_OBJECTS:kvr_wire>,EXCLUDE,kvr_httpc_lib>
  LAYERS base connectors INCLUDES connectors connectors/table connectors/wire runtime/base
  LIBS ${libs} ${kvr_tls} LABELS unit hyperpod)

if(NOT kvr_curl)
  return()
endif()
kvr_connector_test(connectors.conformance_hyperpod hyperpod conformance SOURCES subject_hyperpod.c
  LIBS kvr_conformance kvr_hyperpod_server)
foreach(noun IN ITEMS hyperpod hyperpod_segment hyperpod_crash hyperpod_faults)
  kvr_connector_test(connectors.${noun} hyperpod SOURCES test_${noun}.c
    INCLUDES connectors connectors/wire runtime/base LIBS kvr_hyperpod_server)
endforeach()
target_link_options(test_connectors_hyperpod_faults PRIVATE -Wl,--wrap=pthread_create -Wl,--wrap=curl_multi_perform)
target_link_options(test_connectors_hyperpod_crash PRIVATE -Wl,--wrap=pread)
if(kvr_tls)
  # TLS in front of a server that has none.
  add_library(kvr_tls_front STATIC ../harness/kvr_tls_front.c)
  target_include_directories(kvr_tls_front PUBLIC ../harness)
  target_link_libraries(kvr_tls_front PRIVATE kvr_build PUBLIC ${kvr_tls} Threads::Threads)
  kvr_connector_test(connectors.hyperpod_tls hyperpod tls SOURCES test_hyperpod_tls.c
    INCLUDES connectors/wire runtime/base LIBS kvr_hyperpod_server kvr_tls_front)
endif()
