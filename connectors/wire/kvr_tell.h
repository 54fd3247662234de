/* SPDX-License-Identifier: Apache-2.0 */
/* Reports one finding of a store's examination in one call. */
#ifndef KVR_TELL_H
#define KVR_TELL_H

#include "kvr_finding.h"

/* The text is truncated at 500 bytes. advice NULL: nothing to do. */
void kvr_tell(const struct kvr_examination *, enum kvr_finding_level, const char *topic,
    const char *advice, const char *fmt, ...) KVR_PRINTF(5, 6);

#endif
