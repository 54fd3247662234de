# SPDX-License-Identifier: Apache-2.0
# The connector of LMCache's server beyond the conformance suite.
function(kvr_lm_test name source)
  kvr_test(${name} SOURCES ${source} ${lm_server} ../harness/kvr_peer.c
    ../harness/kvr_fault_proxy.c
    LAYERS ${layers} LIBS kvr_golden ${libs} LABELS lm)
  string(REPLACE "." "_" target "test_${name}")
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/connectors/table)
endfunction()

kvr_lm_test(connectors.lm_golden test_lm_golden.c)
kvr_lm_test(connectors.lm test_lm.c)
kvr_lm_test(connectors.lm_faults test_lm_faults.c)
