# SPDX-License-Identifier: Apache-2.0
# What is installed: both libraries, the command, and the CMake and pkg-config files to find them.
# Included by the root when the facade is there.
set(kvr_third_party nng::nng PkgConfig::HIREDIS PkgConfig::ZSTD PkgConfig::CJSON PkgConfig::XXHASH Threads::Threads
  ${kvr_cuda} ${kvr_tls} ${kvr_curl} ${kvr_yaml})

set(kvr_objects)
foreach(layer IN LISTS KVR_LAYERS)
  list(APPEND kvr_objects $<TARGET_OBJECTS:kvr_${layer}>)
endforeach()

if(kvr_kernel)
  list(APPEND kvr_objects ${kvr_kernel})
endif()

file(GLOB kvr_headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/api/kvrelay*.h)
add_library(kvrelay_shared SHARED ${kvr_objects})
add_library(kvrelay_static STATIC ${kvr_objects})
foreach(lib IN ITEMS kvrelay_shared kvrelay_static)
  target_sources(${lib} PUBLIC FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR}/api FILES ${kvr_headers})
  target_link_libraries(${lib} PRIVATE $<BUILD_INTERFACE:kvr_build> ${kvr_third_party})
  set_target_properties(${lib} PROPERTIES LINKER_LANGUAGE C OUTPUT_NAME kvrelay)
endforeach()
add_library(kvrelay::kvrelay ALIAS kvrelay_shared)
add_library(kvrelay::static ALIAS kvrelay_static)
set_target_properties(kvrelay_shared PROPERTIES EXPORT_NAME kvrelay)
set_target_properties(kvrelay_static PROPERTIES EXPORT_NAME static)

# The map lists each exported name; the linker makes all others local.
set(kvr_map ${PROJECT_SOURCE_DIR}/api/kvrelay.map)
set_target_properties(kvrelay_shared PROPERTIES
  VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR} LINK_DEPENDS ${kvr_map})
# The queue library's threads live as long as the process: dlclose must not unmap their code.
target_link_options(kvrelay_shared PRIVATE LINKER:--version-script=${kvr_map} LINKER:-z,nodelete)
if(NOT KVR_SANITIZE AND NOT KVR_FUZZ)
  # A sanitizer's symbols are resolved when the program is linked, so only plain builds can check.
  target_link_options(kvrelay_shared PRIVATE LINKER:-z,defs)
endif()

# The command's target is called kvrelay like its file: Ninja takes "kvrelay" for that file, so a
# library target of that name could not be built by name.
# The command reads traces and checks configurations, which the public header cannot do. So it is
# made of the same objects and does not need the library at run time.
file(GLOB kvr_cli CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/api/cli/*.c)
if(kvr_cli)
  add_executable(kvrelay ${kvr_cli})
  set_target_properties(kvrelay PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
  target_link_libraries(kvrelay PRIVATE kvr_build kvrelay_static Threads::Threads)
  foreach(dir IN ITEMS api api/cli actors runtime runtime/base config connectors connectors/table connectors/wire)
    target_include_directories(kvrelay PRIVATE ${PROJECT_SOURCE_DIR}/${dir})
  endforeach()
  # The real KV data of the bench, if no file is given.
  set_property(SOURCE ${PROJECT_SOURCE_DIR}/api/cli/sample.c APPEND PROPERTY COMPILE_DEFINITIONS
    KVRELAY_SAMPLE_PATH="${PROJECT_SOURCE_DIR}/tests/data/kv_minilm_bf16.bin")
  install(TARGETS kvrelay COMPONENT command)
endif()

# The header for adapters of EIC's SDK. It needs nothing of the library.
install(FILES ${PROJECT_SOURCE_DIR}/connectors/kvr_eic_sdk.h
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)

set(kvr_cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/kvrelay)
install(TARGETS kvrelay_shared EXPORT kvrelay-shared FILE_SET HEADERS)
install(TARGETS kvrelay_static EXPORT kvrelay-static FILE_SET HEADERS)
# Two files, so that a user of the shared library needs none of the libraries below it.
install(EXPORT kvrelay-shared NAMESPACE kvrelay:: DESTINATION ${kvr_cmake_dir})
install(EXPORT kvrelay-static NAMESPACE kvrelay:: DESTINATION ${kvr_cmake_dir})
configure_package_config_file(api/kvrelay-config.cmake.in kvrelay-config.cmake
  INSTALL_DESTINATION ${kvr_cmake_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(kvrelay-config-version.cmake COMPATIBILITY SameMajorVersion)
install(FILES ${PROJECT_BINARY_DIR}/kvrelay-config.cmake
  ${PROJECT_BINARY_DIR}/kvrelay-config-version.cmake DESTINATION ${kvr_cmake_dir})

# The relative path from the .pc file to the prefix, so that the installed tree can be moved. /p
# stands for the prefix. With an absolute CMAKE_INSTALL_LIBDIR there is no such path.
if(IS_ABSOLUTE ${CMAKE_INSTALL_LIBDIR})
  message(FATAL_ERROR "CMAKE_INSTALL_LIBDIR is ${CMAKE_INSTALL_LIBDIR}: give a path relative to the prefix")
endif()
file(RELATIVE_PATH KVR_PC_UP /p/${CMAKE_INSTALL_LIBDIR}/pkgconfig /p)
string(REGEX REPLACE "/$" "" KVR_PC_UP "${KVR_PC_UP}")
# A static user links what we linked. The CUDA toolkit has no pkg-config module, so give its path.
set(KVR_PC_TLS)
if(kvr_tls)
  set(KVR_PC_TLS ", openssl")
endif()
# Not the module: for a static link it names all that libcurl itself links.
set(KVR_PC_CURL)
if(kvr_curl)
  set(KVR_PC_CURL "-lcurl ")
endif()
set(KVR_PC_YAML)
if(kvr_yaml)
  set(KVR_PC_YAML ", yaml-0.1")
endif()
set(KVR_PC_CUDA)
if(kvr_cuda)
  get_target_property(runtime CUDA::cudart_static IMPORTED_LOCATION)
  set(KVR_PC_CUDA "${runtime} -lrt -ldl")
endif()
configure_file(api/kvrelay.pc.in kvrelay.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/kvrelay.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
