# SPDX-License-Identifier: Apache-2.0
# The Redis connector over a cluster of six nodes, which each program starts once for its tests.
kvr_connector_test(connectors.conformance_redis_cluster redis cluster conformance
  SOURCES subject_redis_cluster.c LIBS kvr_conformance)
kvr_connector_test(connectors.redis_cluster redis cluster SOURCES test_redis_cluster.c)
add_test(NAME connectors.redis_cluster_on_valkey COMMAND test_connectors_redis_cluster)
set_tests_properties(connectors.redis_cluster_on_valkey PROPERTIES LABELS "valkey;cluster;twin"
  TIMEOUT 300 SKIP_RETURN_CODE 77 ENVIRONMENT "KVR_TEST_SERVER=valkey-server")
kvr_connector_test(connectors.redis_cluster_faults redis cluster SOURCES test_redis_cluster_faults.c)
kvr_connector_test(connectors.redis_replica redis cluster sentinel SOURCES test_redis_replica.c)
kvr_connector_test(connectors.redis_map unit cluster SOURCES test_redis_map.c)
