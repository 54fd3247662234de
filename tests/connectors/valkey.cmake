# SPDX-License-Identifier: Apache-2.0
# The stores that speak RESP, and all of them against a Valkey server where one is installed.
kvr_connector_test(connectors.valkey redis valkey SOURCES test_valkey.c)

foreach(t IN ITEMS redis redis_golden redis_resp3 valkey conformance_redis conformance_valkey)
  add_test(NAME connectors.${t}_on_valkey COMMAND test_connectors_${t}
    WORKING_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
  set_tests_properties(connectors.${t}_on_valkey PROPERTIES LABELS "valkey;twin" TIMEOUT 300
    SKIP_RETURN_CODE 77 ENVIRONMENT "KVR_TEST_SERVER=valkey-server")
endforeach()

# The one test that sees stores and configuration.
kvr_test(connectors.schemes SOURCES test_schemes.c LAYERS ${layers} config INCLUDES connectors/table
  LIBS ${libs} PkgConfig::CJSON LABELS unit)
