# SPDX-License-Identifier: Apache-2.0
# Sets kvr_kernel to the object of kvr_kernel.cu, made by the toolkit's compiler; empty where it or the
# C++ compiler that it needs is missing. A command and no language of CMake's: it costs hardly any
# configure time, and what is linked stays C.
set(source ${PROJECT_SOURCE_DIR}/runtime/kvr_kernel)
# Every nvcc knows C++ compilers up to some version only, and refuses those that a system has newer: with
# 11.8, which Debian 12 has, its own g++ 12.
if(CUDAToolkit_NVCC_EXECUTABLE AND NOT KVR_CXX)
  foreach(name g++ c++ clang++ g++-14 g++-13 g++-12 g++-11 g++-10)
    find_program(kvr_cxx NAMES ${name} NO_CACHE)
    set(refused 1)
    if(kvr_cxx)
      execute_process(COMMAND ${CUDAToolkit_NVCC_EXECUTABLE} -std=c++17 -I ${PROJECT_SOURCE_DIR}/runtime/base -ccbin ${kvr_cxx} -E ${source}.cu -o /dev/null
        RESULT_VARIABLE refused OUTPUT_QUIET ERROR_QUIET)
    endif()
    if(refused EQUAL 0)
      set(KVR_CXX ${kvr_cxx} CACHE FILEPATH "The C++ compiler behind nvcc")
      break()
    endif()
    unset(kvr_cxx)
  endforeach()
endif()
if(CUDAToolkit_NVCC_EXECUTABLE AND KVR_CXX AND CUDAToolkit_VERSION VERSION_GREATER_EQUAL 11.8)
  set(kvr_kernel_archs 80 90)
  if(CUDAToolkit_VERSION VERSION_GREATER_EQUAL 12.8)
    list(APPEND kvr_kernel_archs 100)
  endif()
  set(gencode)
  foreach(arch IN LISTS kvr_kernel_archs)
    list(APPEND gencode -gencode arch=compute_${arch},code=sm_${arch})
  endforeach()
  # PTX of the newest: a driver makes code from it for what is newer than the toolkit.
  list(GET kvr_kernel_archs -1 newest)
  list(APPEND gencode -gencode arch=compute_${newest},code=compute_${newest})
  set(kvr_kernel ${CMAKE_CURRENT_BINARY_DIR}/kvr_kernel.o)
  add_custom_command(OUTPUT ${kvr_kernel}
    COMMAND ${CUDAToolkit_NVCC_EXECUTABLE} -std=c++17 -O2 ${gencode} -I ${PROJECT_SOURCE_DIR}/runtime/base -ccbin ${KVR_CXX}
      -Xcompiler=-fPIC,-fvisibility=hidden,-fno-exceptions,-fno-rtti,-fno-threadsafe-statics
      -c ${source}.cu -o ${kvr_kernel}
    DEPENDS ${source}.cu ${source}.h ${PROJECT_SOURCE_DIR}/runtime/base/kvr_piece.h
    COMMENT "Building CUDA object kvr_kernel.o" VERBATIM)
  add_custom_target(kvr_kernel DEPENDS ${kvr_kernel})
  set_source_files_properties(${kvr_kernel} PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
else()
  message(STATUS "CUDA kernels: left out, for nvcc 11.8 or a C++ compiler that it takes is missing: small pieces are slow")
endif()
