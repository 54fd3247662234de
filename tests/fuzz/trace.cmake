# SPDX-License-Identifier: Apache-2.0
kvr_objects(trace runtime "kvr_trace.*" kvr_replay)
kvr_objects(specs actors specs)
kvr_fuzz(trace ROUNDS 20000 LAYERS base LIBS kvr_router_decider PkgConfig::XXHASH)
target_sources(fuzz_trace PRIVATE ${trace} ${specs})
target_compile_definitions(fuzz_trace PRIVATE KVR_TRACES="${PROJECT_SOURCE_DIR}/tests/traces")
