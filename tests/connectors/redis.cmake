# SPDX-License-Identifier: Apache-2.0
# The Redis connector beyond the conformance suite.
function(kvr_redis_test name source)
  kvr_test(${name} SOURCES ${source} ../harness/kvr_redis_server.c ../harness/kvr_redis_raw.c
    ../harness/kvr_peer.c ../harness/kvr_fault_proxy.c
    LAYERS base wire connectors LIBS kvr_golden PkgConfig::XXHASH PkgConfig::HIREDIS LABELS redis)
  string(REPLACE "." "_" target "test_${name}")
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/connectors/table)
endfunction()

kvr_redis_test(connectors.redis test_redis.c)
kvr_redis_test(connectors.redis_faults test_redis_faults.c)
kvr_redis_test(connectors.redis_resp3 test_redis_resp3.c)
kvr_redis_test(connectors.redis_golden test_redis_golden.c)
kvr_redis_test(connectors.fault test_fault.c)
target_sources(test_connectors_fault PRIVATE tmp_dir.c)
# Prints how the connector compares with a client of nothing but socket calls, and checks every byte.
kvr_redis_test(bench.redis_raw ../bench/bench_redis_raw.c)
set_tests_properties(bench.redis_raw PROPERTIES LABELS "redis;bench")
include(valkey.cmake)
include(sentinel.cmake)
include(cluster.cmake)
