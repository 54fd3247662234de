# SPDX-License-Identifier: Apache-2.0
# Sets kvr_kernel to the object of kvr_kernel.cu, made by the toolkit's compiler; empty where it or the
# C++ compiler that it needs is missing. A command and no language of CMake's: it costs no configure
# time, and what is linked stays C.
find_program(KVR_CXX NAMES g++ c++ clang++)
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
  set(source ${PROJECT_SOURCE_DIR}/runtime/kvr_kernel)
  add_custom_command(OUTPUT ${kvr_kernel}
    COMMAND ${CUDAToolkit_NVCC_EXECUTABLE} -std=c++17 -O2 ${gencode} -ccbin ${KVR_CXX}
      -Xcompiler=-fPIC,-fvisibility=hidden,-fno-exceptions,-fno-rtti,-fno-threadsafe-statics
      -c ${source}.cu -o ${kvr_kernel}
    DEPENDS ${source}.cu ${source}.h COMMENT "Building CUDA object kvr_kernel.o" VERBATIM)
  add_custom_target(kvr_kernel DEPENDS ${kvr_kernel})
  set_source_files_properties(${kvr_kernel} PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
else()
  message(STATUS "CUDA kernels: left out, for nvcc 11.8 or a C++ compiler is missing: small pieces are slow")
endif()
