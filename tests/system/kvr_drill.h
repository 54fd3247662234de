/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Callers that put and get without pause while a test does something to the servers. Every byte of
 * every hit is compared; what they keep is which calls were whole, and for how long some were not.
 */
#ifndef KVR_DRILL_H
#define KVR_DRILL_H

#include "kvr_system_bed.h"

struct kvr_drill;

/* Each of n callers has keys of its own, which begin with name, and budget_ms per call. */
struct kvr_drill *kvr_drill_start(
    struct kvr *, const char *name, uint32_t n, uint64_t budget_ms);

/* What follows is the event: from now on failures are counted, and timed from here. */
void kvr_drill_mark(struct kvr_drill *);
/* Until a put and a get have failed since the mark. */
void kvr_drill_wait_bad(struct kvr_drill *);
/* Until many calls in a row were whole: every key stored, every key a hit. */
void kvr_drill_wait_good(struct kvr_drill *);

/*
 * Prints what was seen since the mark, and checks that no call came back much after its deadline.
 */
void kvr_drill_say(struct kvr_drill *, const char *event);
void kvr_drill_stop(struct kvr_drill *take);
/* Keys that did not come back whole since the mark. */
uint64_t kvr_drill_bad(struct kvr_drill *);

#endif
