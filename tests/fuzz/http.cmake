# SPDX-License-Identifier: Apache-2.0
kvr_objects(http_request runtime kvr_http_request)
kvr_fuzz(http ROUNDS 500000 LAYERS base LIBS PkgConfig::XXHASH INCLUDES ${PROJECT_SOURCE_DIR}/runtime)
target_sources(fuzz_http PRIVATE ${http_request})
