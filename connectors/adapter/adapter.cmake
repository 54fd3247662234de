# SPDX-License-Identifier: Apache-2.0
# libkvr_eic.so, over the vendor's Python module. Of ours it includes only kvr_eic_sdk.h, and nothing
# links it: it is loaded at run time. If Python's headers are found, it is built for the tests. With
# ON it is also installed, for machines that have the module.
set(KVR_EIC_ADAPTER AUTO CACHE STRING "EIC's adapter over Python: ON (and installed), OFF, or AUTO for the tests")
set_property(CACHE KVR_EIC_ADAPTER PROPERTY STRINGS AUTO ON OFF)
set(kvr_eic_adapter)
if(KVR_EIC_ADAPTER STREQUAL "AUTO")
  if(KVR_TESTS)
    pkg_check_modules(LIBPYTHON IMPORTED_TARGET python3-embed>=3.10)
  endif()
elseif(KVR_EIC_ADAPTER)
  pkg_check_modules(LIBPYTHON REQUIRED IMPORTED_TARGET python3-embed>=3.10)
endif()
# Check the target: a build folder that had tests before still caches that the headers were found.
if(NOT KVR_EIC_ADAPTER OR NOT TARGET PkgConfig::LIBPYTHON)
  message(STATUS "EIC's adapter over Python: left out, so its tests are too")
  return()
endif()
message(STATUS "EIC's adapter over Python ${LIBPYTHON_VERSION}")
set(kvr_eic_adapter kvr_eic)
add_library(kvr_eic MODULE ${CMAKE_CURRENT_LIST_DIR}/eic_python.c)
set_target_properties(kvr_eic PROPERTIES C_VISIBILITY_PRESET hidden)
target_include_directories(kvr_eic PRIVATE ${PROJECT_SOURCE_DIR}/connectors)
target_link_libraries(kvr_eic PRIVATE kvr_build PkgConfig::LIBPYTHON ${CMAKE_DL_LIBS} Threads::Threads)
if(NOT KVR_EIC_ADAPTER STREQUAL "AUTO")
  include(GNUInstallDirs)
  install(TARGETS kvr_eic LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT eic)
endif()
