/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_settings.h"

static bool
is_given(const struct kvr_store_opts *o, enum kvr_setting setting)
{
	switch (setting) {
#define X(name, text, given, why)                                                                  \
	case KVR_SETTING_##name:                                                                   \
		return given;
		KVR_SETTING_TABLE(X)
#undef X
	case KVR_SETTING_N:
	default:
		return false;
	}
}

enum kvr_err
kvr_settings_only(const struct kvr_store_opts *o, uint32_t takes,
    const char *const no[KVR_SETTING_N], const struct kvr_why *w)
{
	static const struct {
		const char *name, *no;
	} setting[KVR_SETTING_N] = {
#define X(name, text, given, why) { text, why },
		KVR_SETTING_TABLE(X)
#undef X
	};

	for (uint32_t i = 0; i < KVR_SETTING_N; i++) {
		if ((takes & UINT32_C(1) << i) != 0 || !is_given(o, (enum kvr_setting)i))
			continue;
		return kvr_refuse(w, "%s: %s", setting[i].name,
		    no != NULL && no[i] != NULL ? no[i] : setting[i].no);
	}
	return KVR_OK;
}
