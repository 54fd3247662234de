# SPDX-License-Identifier: Apache-2.0
kvr_fuzz(lm ROUNDS 200000 LAYERS base wire connectors LIBS PkgConfig::HIREDIS PkgConfig::XXHASH
  INCLUDES ${PROJECT_SOURCE_DIR}/connectors/table)
target_sources(fuzz_lm PRIVATE ${PROJECT_SOURCE_DIR}/tests/harness/kvr_lm_words.c)
