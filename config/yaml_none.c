/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Used instead of yaml.c in a build without libyaml: a YAML file is an error that says what to do.
 */
#include "kvr_config_own.h"

const struct kvr_node *
kvr_read_yaml(struct kvr_load *load, const char *text, size_t len)
{
	struct kvr_origin at = { .kind = load->from, .name = load->source };

	(void)text;
	(void)len;
	kvr_load_error(load, &at,
	    "this build reads no YAML: write it as JSON, or build with libyaml (libyaml-dev) and "
	    "-DKVR_YAML=ON");
	return NULL;
}

const char *
kvr_yaml_library(void)
{
	return "left out";
}
