/* SPDX-License-Identifier: Apache-2.0 */
/* What an examination of a store finds, told in one call. */
#ifndef KVR_TELL_H
#define KVR_TELL_H

#include "kvr_finding.h"

/* The text is cut at 500 bytes. advice NULL: nothing is to be done. */
void kvr_tell(const struct kvr_examination *, enum kvr_finding_level, const char *topic,
    const char *advice, const char *fmt, ...) KVR_PRINTF(5, 6);

#endif
