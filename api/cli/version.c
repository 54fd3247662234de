/* SPDX-License-Identifier: Apache-2.0 */
#include "kvr_cli.h"

#include "kvr_connector.h"
#include "kvr_control.h"
#include "kvr_hash.h"
#include "kvr_mailbox.h"
#include "kvr_workers.h"

/* Only the one file that includes a library can tell its version. */
static const struct {
	const char *name;
	const char *(*version)(void);
} libraries[] = {
	{ "nng", kvr_mailbox_library },
	{ "hiredis", kvr_control_library },
	{ "zstd", kvr_codec_library },
	{ "xxhash", kvr_hash_library },
	{ "cjson", kvr_json_library },
	{ "libyaml", kvr_yaml_library },
};

static const char *const features[] = { "lmcache", "bare", "sealed", "naive", "zstd", "planes",
	"kivi", "estimate" };

static void
list(bool json, const char *name, const char *const *words, size_t n)
{
	bool first = true;

	printf(json ? ", \"%s\": [" : "%-10s", name);
	for (size_t i = 0; i < n; i++) {
		if (!kvr_has(words[i]))
			continue;
		printf(json ? (first ? "\"%s\"" : ", \"%s\"") : " %s", words[i]);
		first = false;
	}
	printf(json ? "]" : "\n");
}

int
cli_version(int argc, char **argv)
{
	static const struct cli_option own[] = { { NULL, NULL, NULL, CLI_FLAG, NULL } };
	struct cli cli = { 0 };
	const char *const *schemes = kvr_connector_schemes();
	uint32_t version = kvr_version();
	size_t n = 0;

	int n_args = cli_read(&cli, own, argc, argv);

	if (n_args < 0)
		return CLI_ERROR;
	if (n_args > 0)
		return cli_fail(&cli, "it takes no arguments");
	while (schemes[n] != NULL)
		n++;
	printf(cli.json ? "{\"kvrelay\": \"%u.%u.%u\", \"compiler\": "
	                : "kvrelay    %u.%u.%u\ncompiler   ",
	    version >> 16, version >> 8 & 255, version & 255);
	if (cli.json)
		cli_json_text(stdout, __VERSION__);
	else
		printf("%s\n", __VERSION__);
	for (size_t i = 0; i < KVR_LEN(libraries); i++)
		printf(cli.json ? ", \"%s\": \"%s\"" : "%-10s %s\n", libraries[i].name,
		    libraries[i].version());
	list(cli.json, "stores", schemes, n);
	list(cli.json, "features", features, KVR_LEN(features));
	printf(cli.json ? "}\n" : "");
	return CLI_OK;
}
