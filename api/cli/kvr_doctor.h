/* SPDX-License-Identifier: Apache-2.0 */
/* doctor: what its files say to each other. */
#ifndef KVR_DOCTOR_H
#define KVR_DOCTOR_H

#include "kvr_cli.h"
#include "kvr_connector.h"

struct doctor {
	struct cli cli;
	bool no_canary;
	const char *where; /* of findings to come: "machine", the name of a tier */
	uint32_t n, warned, failed;
	const struct kvr_config *config;
	uint64_t slot_bytes;
	bool down[KVR_TIERS_MAX]; /* a canary would only say it again */
};

/* One line. advice NULL: nothing is to be done. */
void doctor_say(struct doctor *, enum kvr_finding_level, const char *topic, const char *advice,
    const char *fmt, ...) KVR_PRINTF(5, 6);

/* doctor_machine.c */
void doctor_machine(struct doctor *);

#endif
