# SPDX-License-Identifier: Apache-2.0
# The Redis connector beyond the conformance suite.
foreach(noun IN ITEMS redis redis_dial redis_faults redis_pieces redis_resp3 redis_golden)
  kvr_connector_test(connectors.${noun} redis SOURCES test_${noun}.c)
endforeach()
kvr_connector_test(connectors.redis_step redis SOURCES test_redis_step.c INCLUDES connectors connectors/wire)
kvr_connector_test(connectors.fault redis SOURCES test_fault.c)
include(valkey.cmake)
include(sentinel.cmake)
include(cluster.cmake)
