/* SPDX-License-Identifier: Apache-2.0 */
/* What a value's first bytes say, for callers that do not need its payload. */
#include "kvr_frame.h"
#include "kvr_lmmeta.h"

#include <stdio.h>

static int32_t
stat_sealed(const struct kvr_frame_rules *rules, struct kvr_item *item, const uint8_t *head,
    uint64_t total, const char **ret_why)
{
	const struct kvr_meta anything = { 0 };
	const struct kvr_seal_want want = {
		.key = item->key, .key_len = item->key_len, .meta = &anything
	};
	struct kvr_seal seal;
	enum kvr_err err = kvr_seal_get_head(head, rules->seal_head, total, &seal, ret_why);

	if (err != KVR_OK)
		return err;
	item->len = seal.len;
	item->raw_len = seal.raw_len;
	item->serde = seal.serde;
	*item->meta = seal.meta;
	return kvr_seal_fits(&seal, &want, ret_why);
}

static int32_t
stat_payload(const struct kvr_frame_rules *rules, struct kvr_item *item, const uint8_t *head,
    size_t have, uint64_t total, const char **ret_why)
{
	uint64_t head_len = kvr_frame_head_len(rules), len = total - head_len;

	if (head_len > 0) {
		enum kvr_err err = kvr_lmmeta_decode(head, have, rules->n_groups, item->meta, &len);

		if (err != KVR_OK) {
			*ret_why = "the value does not begin with an LMCache header";
			return err;
		}
	}
	*ret_why = "the value is shorter or longer than its LMCache header says";
	if (len != total - head_len)
		return KVR_E_LENGTH;
	/* A row has 32 bits for the length: a truncated one would be a wrong answer. */
	*ret_why = "values have less than 4 GiB";
	if (len > UINT32_MAX)
		return KVR_E_TOO_BIG;
	item->len = item->raw_len = len;
	item->serde = 0;
	return KVR_OK;
}

static int32_t
stat_value(const struct kvr_frame_rules *rules, struct kvr_item *item, const uint8_t *head,
    size_t have, uint64_t total, const char **ret_why)
{
	uint64_t head_len = kvr_frame_head_len(rules);
	bool sealed = rules->format == KVR_FORMAT_SEALED;

	*ret_why = "the value is shorter than its header";
	if (total < head_len)
		return sealed ? KVR_E_CORRUPT : KVR_E_LENGTH;
	*ret_why = "too little of the value was read";
	if (have < head_len)
		return KVR_E_INVALID;
	return sealed ? stat_sealed(rules, item, head, total, ret_why)
	              : stat_payload(rules, item, head, have, total, ret_why);
}

int32_t
kvr_frame_stat(const struct kvr_frame_rules *rules, struct kvr_item *item, const uint8_t *head,
    size_t have, uint64_t total, char *ret_why, size_t why_cap)
{
	const char *why = NULL;
	int32_t err = stat_value(rules, item, head, have, total, &why);

	if (err != KVR_OK)
		snprintf(ret_why, why_cap, "a value of %llu bytes: %s", (unsigned long long)total,
		    why == NULL ? kvr_err_text(err) : why);
	return err;
}
