/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON of a lease. What is read is inside the text, the fragments add up to what was said, and
 * an id that is given out ends where a text ends.
 */
#include <string.h>

#include "kvr_fuzz.h"
#include "kvr_hyperpod.h"

size_t
kvr_fuzz_seed(size_t i, uint8_t *ret)
{
	static const char *const seeds[] = {
		"{\"id\":\"L-7\",\"offsets\":[{\"offset\":100,\"len\":20},{\"offset\":9,\"len\":8}]}",
		" { \"offsets\" : [ ] , \"id\" : \"a\\u0041\\n\" , \"x\" : [1,{\"y\":null}] } ",
		"{\"x\":-1.5e3,\"id\":\"\",\"offsets\":[{\"len\":1,\"z\":\"\\\"\",\"offset\":0}]}",
		"{\"offsets\":[{\"offset\":-1,\"len\":1}],\"id\":\"late\"}",
		"{\"id\":\"a\",\"offsets\":[{\"offset\":18446744073709551615,\"len\":1}]}",
	};
	if (i >= KVR_LEN(seeds))
		return 0;
	memcpy(ret, seeds[i], strlen(seeds[i]));
	return strlen(seeds[i]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *at, size_t len)
{
	struct kvr_hp_lease lease;
	const char *why = NULL;
	uint64_t offset = 0, n_bytes = 0, total = 0;
	uint32_t n = 0;
	size_t step = 0;
	enum kvr_err err = kvr_hp_lease_read((struct kvr_const_span){ at, len }, &lease, &why);
	KVR_CHECK((err == KVR_OK) == (why == NULL) && (err == KVR_OK || err == KVR_E_PROTO));
	KVR_CHECK(memchr(lease.id, '\0', sizeof(lease.id)) != NULL);
	if (err != KVR_OK)
		return 0;
	KVR_CHECK(lease.id[0] != '\0');
	KVR_CHECK((const uint8_t *)lease.list.at >= at &&
	    (const uint8_t *)lease.list.at + lease.list.len <= at + len);
	while (kvr_hp_lease_next(&lease, &step, &offset, &n_bytes)) {
		KVR_CHECK(step <= lease.list.len && n_bytes > 0 && offset <= UINT64_MAX - n_bytes);
		total += n_bytes;
		n++;
	}
	KVR_CHECK(n == lease.n && total == lease.total);
	return 0;
}
