# SPDX-License-Identifier: Apache-2.0
# URLs, streams, dialling and RESP.
foreach(noun IN ITEMS url stream dial resp)
  kvr_test(wire.${noun} SOURCES test_${noun}.c LAYERS base wire
    LIBS PkgConfig::HIREDIS PkgConfig::XXHASH ${CMAKE_DL_LIBS} LABELS unit)
  target_include_directories(test_wire_${noun} PRIVATE ${PROJECT_SOURCE_DIR}/connectors/table)
endforeach()
