# SPDX-License-Identifier: Apache-2.0
kvr_fuzz(url ROUNDS 300000 LAYERS base wire LIBS PkgConfig::HIREDIS PkgConfig::XXHASH)
kvr_fuzz(resp ROUNDS 100000 LAYERS base wire LIBS PkgConfig::HIREDIS PkgConfig::XXHASH
  INCLUDES ${PROJECT_SOURCE_DIR}/connectors/table)
kvr_fuzz(fault_script ROUNDS 300000 LAYERS base wire LIBS PkgConfig::HIREDIS PkgConfig::XXHASH)
kvr_fuzz(topology ROUNDS 50000 LAYERS base wire connectors LIBS PkgConfig::HIREDIS PkgConfig::XXHASH
  INCLUDES ${PROJECT_SOURCE_DIR}/connectors/table)
kvr_fuzz(redis ROUNDS 40000 LAYERS base wire connectors LIBS PkgConfig::HIREDIS PkgConfig::XXHASH
  INCLUDES ${PROJECT_SOURCE_DIR}/connectors/table)
