# SPDX-License-Identifier: Apache-2.0
# The Redis connector behind sentinels.
kvr_redis_test(connectors.redis_sentinel test_redis_sentinel.c)
target_sources(test_connectors_redis_sentinel PRIVATE ../harness/kvr_sentinel_set.c)
set_tests_properties(connectors.redis_sentinel PROPERTIES LABELS "redis;sentinel")
