/* SPDX-License-Identifier: Apache-2.0 */
/* The deployment of --config or --url, as plain data. */
#include "kvr_cli.h"

#include "kvr_config.h"
#include "kvr_connector.h"

int
cli_deployment_noted(const struct cli *cli, kvr_config_note_fn *note, struct kvr_config **ret)
{
	const struct kvr_config_opts opts = { .schemes = kvr_connector_schemes(),
		.set = cli->set,
		.n_set = cli->n_set,
		.faults = kvr_connector_check_faults,
		.note = note };
	char why[1024] = "";
	enum kvr_err err;

	if ((cli->config == NULL) == (cli->url == NULL))
		return cli_fail(cli, "say which deployment: --config FILE or --url URL");
	if (cli->config != NULL)
		err = kvr_config_load(cli->config, &opts, ret, why, sizeof(why));
	else
		err = kvr_config_from_url(cli->url, &opts, ret, why, sizeof(why));
	if (err == KVR_OK)
		return CLI_OK;
	/* A note function has reported every mistake already. */
	if (note != NULL && err == KVR_E_CONFIG)
		return CLI_ERROR;
	return cli_fail(cli, "%s", why[0] != '\0' ? why : kvr_err_text(err));
}

int
cli_deployment(const struct cli *cli, struct kvr_config **ret)
{
	return cli_deployment_noted(cli, NULL, ret);
}
