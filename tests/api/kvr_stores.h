/* SPDX-License-Identifier: Apache-2.0 */
/* The stores that an embedder is tried on: this process, a directory, a real server. */
#ifndef KVR_STORES_H
#define KVR_STORES_H

struct kvr_store_bed;

enum kvr_store_kind { KVR_STORE_MEMORY, KVR_STORE_FS, KVR_STORE_REDIS, KVR_STORE_KINDS };

/* NULL: that store cannot be had here, and a line on stderr says so. */
struct kvr_store_bed *kvr_store_bed_open(enum kvr_store_kind kind);
const char *kvr_store_bed_url(const struct kvr_store_bed *);
void kvr_store_bed_close(struct kvr_store_bed *take);

/* Runs body once per store, with bed and its url. */
#define KVR_EACH_STORE(bed, body)                                                                  \
	do {                                                                                       \
		for (int kind_ = 0; kind_ < KVR_STORE_KINDS; kind_++) {                            \
			struct kvr_store_bed *bed =                                                \
			    kvr_store_bed_open((enum kvr_store_kind)kind_);                        \
			if (bed == NULL)                                                           \
				continue;                                                          \
			body;                                                                      \
			kvr_store_bed_close(bed);                                                  \
		}                                                                                  \
	} while (0)

#endif
