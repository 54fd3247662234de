# SPDX-License-Identifier: Apache-2.0
file(GLOB planes_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/actors/kvr_planes*.c)
kvr_fuzz(planes ROUNDS 8000 LAYERS base INCLUDES ${PROJECT_SOURCE_DIR}/actors)
target_sources(fuzz_planes PRIVATE ${planes_sources})
