# SPDX-License-Identifier: Apache-2.0
# The EIC connector over shared objects in place of the vendor's SDK and its adapter.
foreach(target IN ITEMS kvr_eic_fake kvr_eic_other kvr_eic_plain)
  add_library(${target} MODULE ../harness/kvr_eic_fake.c)
  target_include_directories(${target} PRIVATE ../harness ${PROJECT_SOURCE_DIR}/connectors)
  target_link_libraries(${target} PRIVATE kvr_build Threads::Threads)
endforeach()
target_compile_definitions(kvr_eic_other PRIVATE KVR_EIC_FAKE_ABI=99)
target_compile_definitions(kvr_eic_plain PRIVATE KVR_EIC_FAKE_PLAIN=1)

function(kvr_eic_test name)
  kvr_connector_test(${name} eic ${ARGN} INCLUDES connectors connectors/wire runtime/base)
  string(REPLACE "." "_" target "test_${name}")
  target_compile_definitions(${target} PRIVATE KVR_EIC_FAKE="$<TARGET_FILE:kvr_eic_fake>"
    KVR_EIC_OTHER="$<TARGET_FILE:kvr_eic_other>" KVR_EIC_PLAIN="$<TARGET_FILE:kvr_eic_plain>")
  add_dependencies(${target} kvr_eic_fake kvr_eic_other kvr_eic_plain)
endfunction()

kvr_eic_test(connectors.conformance_eic conformance SOURCES subject_eic.c LIBS kvr_conformance ${CMAKE_DL_LIBS})
foreach(noun IN ITEMS eic eic_memory)
  kvr_eic_test(connectors.${noun} SOURCES test_${noun}.c LIBS ${CMAKE_DL_LIBS})
endforeach()

# The adapter for the vendor's module, over a stand-in for that module.
if(NOT kvr_eic_adapter)
  return()
endif()
set(eic_module ${PROJECT_SOURCE_DIR}/tests/harness/eic_module)
kvr_eic_test(connectors.eic_adapter SOURCES test_eic_adapter.c LIBS ${CMAKE_DL_LIBS})
kvr_eic_test(connectors.conformance_eic_adapter conformance twin SOURCES subject_eic.c
  LIBS kvr_conformance ${CMAKE_DL_LIBS})
foreach(target IN ITEMS eic_adapter conformance_eic_adapter)
  target_compile_definitions(test_connectors_${target} PRIVATE KVR_EIC_ADAPTER="$<TARGET_FILE:kvr_eic>"
    KVR_EIC_MODULE="${eic_module}")
  add_dependencies(test_connectors_${target} kvr_eic)
endforeach()
set_tests_properties(connectors.conformance_eic_adapter PROPERTIES ENVIRONMENT
  "PYTHONPATH=${eic_module};PYTHONDONTWRITEBYTECODE=1;PYTHONMALLOC=malloc")
