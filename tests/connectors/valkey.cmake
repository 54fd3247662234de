# SPDX-License-Identifier: Apache-2.0
# The stores that speak RESP, and all of them against a Valkey server where one is installed.
kvr_redis_test(connectors.valkey test_valkey.c)
set_tests_properties(connectors.valkey PROPERTIES LABELS "redis;valkey")

foreach(t IN ITEMS redis redis_golden redis_resp3 valkey conformance_redis conformance_valkey)
  add_test(NAME connectors.${t}_on_valkey COMMAND test_connectors_${t}
    WORKING_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
  set_tests_properties(connectors.${t}_on_valkey PROPERTIES LABELS "valkey;twin" TIMEOUT 300
    SKIP_RETURN_CODE 77 ENVIRONMENT "KVR_TEST_SERVER=valkey-server")
endforeach()

# The one test that sees stores and configuration.
kvr_test(connectors.schemes SOURCES test_schemes.c LAYERS ${layers} config
  LIBS ${libs} PkgConfig::CJSON LABELS unit)
target_include_directories(test_connectors_schemes PRIVATE ${PROJECT_SOURCE_DIR}/connectors/table)
