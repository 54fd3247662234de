/* SPDX-License-Identifier: Apache-2.0 */
/* What instances of this process are called. */
#ifndef KVR_OPEN_H
#define KVR_OPEN_H

/*
 * "kvr" unless this is called before the first is opened: instances are kvr1, kvr2, ... in traces,
 * in `kvrelay ps` and in the names of threads' queues. Letters only; kept, not copied.
 */
void kvr_open_as(const char *name);

#endif
