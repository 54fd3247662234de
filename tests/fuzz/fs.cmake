# SPDX-License-Identifier: Apache-2.0
kvr_fuzz(fs ROUNDS 5000 LAYERS base wire connectors LIBS PkgConfig::HIREDIS PkgConfig::XXHASH
  INCLUDES ${PROJECT_SOURCE_DIR}/connectors/table)
