/* SPDX-License-Identifier: Apache-2.0 */
/* The notifier: the thread on which callbacks run. */
#ifndef KVR_NOTIFY_H
#define KVR_NOTIFY_H

#include "kvrelay.h"

struct kvr_mailbox;
struct kvr_thread;

struct kvr_notifier {
	struct kvr_mailbox *box;
	struct kvr_thread  *thread;
	bool                stopping; /* STOP is in the box */
	int32_t            *err; /* KVR_KEYS_MAX of each: the arrays that callbacks get */
	uint64_t           *len;
	uint32_t           *tier;
	uint32_t           *layers;
};

KVR_MUST_USE enum kvr_err kvr_notifier_open(struct kvr *);
KVR_MUST_USE enum kvr_err kvr_notifier_start(struct kvr *); /* when the system exists */
/* Reserves places for completions, so that kvr_notifier_tell cannot fail. */
KVR_MUST_USE enum kvr_err kvr_notifier_reserve(struct kvr *, uint32_t places);
void                      kvr_notifier_unreserve(struct kvr *, uint32_t places);
void                      kvr_notifier_tell(struct kvr *, uint32_t slot);
void                      kvr_notifier_bury(struct kvr *); /* the deciders died */
/* Lines are waiting for it; one word is enough until it handles them. */
void                      kvr_notifier_log(struct kvr *);
/* False: it hangs in a callback. */
bool kvr_notifier_stop(struct kvr *, uint64_t until_ns);
void kvr_notifier_close(struct kvr *);

#endif
