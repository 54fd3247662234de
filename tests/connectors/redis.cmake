# SPDX-License-Identifier: Apache-2.0
# The Redis connector beyond the conformance suite.
foreach(noun IN ITEMS redis redis_faults redis_resp3 redis_golden)
  kvr_connector_test(connectors.${noun} redis SOURCES test_${noun}.c)
endforeach()
kvr_connector_test(connectors.fault redis SOURCES test_fault.c tmp_dir.c)
# Prints how the connector compares with a client of nothing but socket calls, and checks every byte.
kvr_connector_test(bench.redis_raw redis bench SOURCES ../bench/bench_redis_raw.c)
include(valkey.cmake)
include(sentinel.cmake)
include(cluster.cmake)
