# SPDX-License-Identifier: Apache-2.0
# The Redis connector behind sentinels.
kvr_connector_test(connectors.redis_sentinel redis sentinel SOURCES test_redis_sentinel.c)
kvr_connector_test(connectors.conformance_redis_sentinel redis sentinel conformance twin
  SOURCES subject_redis_sentinel.c LIBS kvr_conformance)
