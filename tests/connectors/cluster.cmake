# SPDX-License-Identifier: Apache-2.0
# The Redis connector over a cluster of six nodes, which each program starts once for its tests.
set(cluster_set ../harness/kvr_cluster_set.c ../harness/kvr_redis_raw.c ../harness/kvr_redis_server.c)
kvr_test(connectors.conformance_redis_cluster SOURCES subject_redis_cluster.c ${conformance} ${cluster_set}
  LAYERS ${layers} LIBS ${libs} LABELS redis cluster conformance)
target_include_directories(test_connectors_conformance_redis_cluster
  PRIVATE ${PROJECT_SOURCE_DIR}/connectors/table)
kvr_redis_test(connectors.redis_cluster test_redis_cluster.c)
target_sources(test_connectors_redis_cluster PRIVATE ../harness/kvr_cluster_set.c)
set_tests_properties(connectors.redis_cluster PROPERTIES LABELS "redis;cluster")
add_test(NAME connectors.redis_cluster_on_valkey COMMAND test_connectors_redis_cluster)
set_tests_properties(connectors.redis_cluster_on_valkey PROPERTIES LABELS "valkey;cluster;twin"
  TIMEOUT 300 SKIP_RETURN_CODE 77 ENVIRONMENT "KVR_TEST_SERVER=valkey-server")
kvr_redis_test(connectors.redis_cluster_faults test_redis_cluster_faults.c)
set_tests_properties(connectors.redis_cluster_faults PROPERTIES LABELS "redis;cluster")
kvr_redis_test(connectors.redis_map test_redis_map.c)
set_tests_properties(connectors.redis_map PROPERTIES LABELS "unit;cluster")
