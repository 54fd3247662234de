# SPDX-License-Identifier: Apache-2.0
# The toolchain of preset arm64: builds for arm64 on a machine of another kind, and runs the tests under qemu.
# scripts/setup-arm64 brings what it needs; KVR_ARM64_ROOT is another place for the folder that makes it.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)

set(root $ENV{KVR_ARM64_ROOT})
if(NOT root)
  set(root ${CMAKE_CURRENT_LIST_DIR}/../build/arm64-root)
endif()
get_filename_component(root ${root} ABSOLUTE)
if(NOT EXISTS ${root}/usr/include/nng)
  message(FATAL_ERROR "${root} has no arm64 libraries: scripts/setup-arm64 makes it, or KVR_ARM64_ROOT names another")
endif()
set(CMAKE_SYSROOT ${root})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${root})
set(ENV{PKG_CONFIG_LIBDIR} ${root}/usr/lib/aarch64-linux-gnu/pkgconfig:${root}/usr/share/pkgconfig)
# What a test starts itself needs a kernel that hands programs of arm64 to qemu (binfmt-support), and
# QEMU_LD_PREFIX with this folder.
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static -L ${root})
