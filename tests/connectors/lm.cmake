# SPDX-License-Identifier: Apache-2.0
# The connector of LMCache's server beyond the conformance suite.
foreach(noun IN ITEMS lm_golden lm lm_faults)
  kvr_connector_test(connectors.${noun} lm SOURCES test_${noun}.c LIBS kvr_lm_server)
endforeach()
