# SPDX-License-Identifier: Apache-2.0
kvr_objects(codec actors kvr_codec "kvr_planes.*")
kvr_fuzz(codec ROUNDS 20000 LAYERS base LIBS PkgConfig::ZSTD PkgConfig::XXHASH
  INCLUDES ${PROJECT_SOURCE_DIR}/actors ${PROJECT_SOURCE_DIR}/runtime ${PROJECT_SOURCE_DIR}/connectors/table)
target_sources(fuzz_codec PRIVATE ${codec})
