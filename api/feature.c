/* SPDX-License-Identifier: Apache-2.0 */
/* What this build supports. */
#include "kvrelay.h"

#include "kvr_connector.h"
#include "kvr_device.h"

#include <string.h>

uint32_t
kvr_version(void)
{
	return KVR_VERSION_MAJOR << 16 | KVR_VERSION_MINOR << 8 | KVR_VERSION_PATCH;
}

bool
kvr_has(const char *feature)
{
	static const char *const always[] = { "naive", "kivi", "zstd", "planes", "estimate", "lmcache",
		"sealed", "bare" };

	if (feature == NULL)
		return false;
	for (size_t i = 0; i < KVR_LEN(always); i++) {
		if (strcmp(feature, always[i]) == 0)
			return true;
	}
	/* Every build knows the scheme; a build without the library says what to do. */
	if (strcmp(feature, "tls") == 0 || strcmp(feature, "rediss") == 0)
		return kvr_connector_has_tls();
	if (strcmp(feature, "http") == 0 || strcmp(feature, "sagemaker-hyperpod") == 0)
		return kvr_connector_has_http();
	if (strcmp(feature, "cuda") == 0)
		return kvr_device_find("cuda") != NULL;
	for (const char *const *scheme = kvr_connector_schemes(); *scheme != NULL; scheme++) {
		if (strcmp(feature, *scheme) == 0)
			return true;
	}
	return false;
}
