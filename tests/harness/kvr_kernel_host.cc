/* SPDX-License-Identifier: Apache-2.0 */
/* kvr_kernel.cu as the host's compiler reads it, and what launches it there. */
#include "kvr_kernel.cu"
#include "kvr_kernel_host.h"

enum kvr_kernel_order kvr_kernel_order;
int kvr_kernel_driver = 13000;

cudaError_t
cudaDriverGetVersion(int *ret)
{
	*ret = kvr_kernel_driver;
	return 0;
}

static bool
is_known(const void *function)
{
	return function == kernel_of<KVR_KERNEL_FEW>() ||
	       (function == kernel_of<KVR_KERNEL_PIECES>() && kvr_kernel_driver >= 12010);
}

cudaError_t
cudaFuncGetAttributes(cudaFuncAttributes *, const void *function)
{
	return !is_known(function);
}

/*
 * The threads of a block run one after another, which a device may do too: they share nothing. A
 * kernel that relied on the order of its threads would not pass both orders.
 */
cudaError_t
cudaLaunchKernel(const void *function, unsigned blocks, unsigned threads, void **all, size_t shared,
    cudaStream_t stream)
{
	if (!is_known(function) || shared != 0 || stream != nullptr)
		return 1;
	for (unsigned i = 0; i < blocks * threads; i++) {
		unsigned at = kvr_kernel_order == KVR_KERNEL_UP ? i : blocks * threads - 1 - i;

		blockIdx.x = at / threads;
		threadIdx.x = at % threads;
		if (function == kernel_of<KVR_KERNEL_FEW>())
			copy_pieces(*static_cast<const arguments<KVR_KERNEL_FEW> *>(all[0]));
		else
			copy_pieces(*static_cast<const arguments<KVR_KERNEL_PIECES> *>(all[0]));
	}
	return 0;
}
