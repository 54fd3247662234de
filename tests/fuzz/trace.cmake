# SPDX-License-Identifier: Apache-2.0
kvr_objects(trace runtime "kvr_trace.*" kvr_replay)
kvr_objects(specs actors specs)
kvr_fuzz(trace ROUNDS 2500 LAYERS base LIBS kvr_router_decider PkgConfig::XXHASH)
target_sources(fuzz_trace PRIVATE trace_input.c ${trace} ${specs})
target_compile_definitions(fuzz_trace PRIVATE KVR_TRACES="${PROJECT_SOURCE_DIR}/tests/traces")

# The command as somebody types it, without its main().
if(TARGET kvrelay)
  set(cli $<FILTER:$<TARGET_OBJECTS:kvrelay>,EXCLUDE,/main[.]c[.]o$>)
  kvr_fuzz(trace_cmd ROUNDS 1500 LIBS kvrelay_static PkgConfig::CJSON
    INCLUDES ${PROJECT_SOURCE_DIR}/actors ${PROJECT_SOURCE_DIR}/runtime ${PROJECT_SOURCE_DIR}/runtime/base
      ${PROJECT_SOURCE_DIR}/api ${PROJECT_SOURCE_DIR}/api/cli ${PROJECT_SOURCE_DIR}/config)
  target_sources(fuzz_trace_cmd PRIVATE trace_input.c ${cli})
  target_compile_definitions(fuzz_trace_cmd PRIVATE KVR_TRACES="${PROJECT_SOURCE_DIR}/tests/traces")
  kvr_fuzz(page ROUNDS 20000 LIBS kvrelay_static PkgConfig::CJSON
    INCLUDES ${PROJECT_SOURCE_DIR}/actors ${PROJECT_SOURCE_DIR}/runtime ${PROJECT_SOURCE_DIR}/runtime/base
      ${PROJECT_SOURCE_DIR}/api ${PROJECT_SOURCE_DIR}/api/cli ${PROJECT_SOURCE_DIR}/config
      ${PROJECT_SOURCE_DIR}/connectors/table)
  target_sources(fuzz_page PRIVATE ${cli})
endif()
