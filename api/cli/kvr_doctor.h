/* SPDX-License-Identifier: Apache-2.0 */
/* doctor: what its files share. */
#ifndef KVR_DOCTOR_H
#define KVR_DOCTOR_H

#include "kvr_cli.h"
#include "kvr_connector.h"

struct doctor {
	struct cli cli;
	bool no_canary;
	const char *where; /* of the next findings: "machine", or the name of a tier */
	uint32_t n, warned, failed;
	const struct kvr_config *config;
	uint64_t slot_bytes;
	bool down[KVR_TIERS_MAX]; /* no canary: it would only repeat the failure */
};

/* Prints one finding. advice NULL: nothing to do. */
void doctor_say(struct doctor *, enum kvr_finding_level, const char *topic, const char *advice,
    const char *fmt, ...) KVR_PRINTF(5, 6);

/* doctor_machine.c */
void doctor_machine(struct doctor *);

#endif
