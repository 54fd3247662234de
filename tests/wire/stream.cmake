# SPDX-License-Identifier: Apache-2.0
# URLs, streams, dialling and RESP.
foreach(noun IN ITEMS url stream stream_look stream_recv stream_way dial dial_six resp resp3 fault_script topology)
  kvr_test(wire.${noun} SOURCES test_${noun}.c LAYERS base wire
    LIBS PkgConfig::HIREDIS PkgConfig::XXHASH ${CMAKE_DL_LIBS} LABELS unit)
  target_include_directories(test_wire_${noun} PRIVATE ${PROJECT_SOURCE_DIR}/connectors/table)
endforeach()
foreach(noun IN ITEMS dial dial_six)
  target_sources(test_wire_${noun} PRIVATE names.c)
endforeach()
if(kvr_tls)
  kvr_test(wire.stream_tls SOURCES test_stream_tls.c LAYERS base wire
    LIBS PkgConfig::HIREDIS PkgConfig::XXHASH LABELS unit tls)
  target_include_directories(test_wire_stream_tls PRIVATE ${PROJECT_SOURCE_DIR}/connectors/table)
endif()
# Without the library: what it keeps is the test's own.
foreach(noun IN ITEMS tls_keep tls_fault)
  kvr_objects(tls wire kvr_${noun})
  kvr_test(wire.${noun} SOURCES test_${noun}.c ${tls} LAYERS base INCLUDES connectors/table connectors/wire
    LABELS unit tls)
endforeach()
