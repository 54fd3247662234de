/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in the middle of measurements, which it sorts. */
#ifndef KVR_MEDIAN_H
#define KVR_MEDIAN_H

#include <stdlib.h>

static inline int
kvr_by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static inline double
kvr_median(double *v, int n)
{
	qsort(v, (size_t)n, sizeof(*v), kvr_by_size);
	return v[n / 2];
}

#endif
