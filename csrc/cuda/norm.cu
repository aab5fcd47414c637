// Normalisation: columns.h for channels, rows.h for rows.
#include "contract/norm.h"

#include "cuda/norm/columns.h"
#include "cuda/norm/factors.h"
#include "cuda/norm/rows.h"

namespace tinydl::cuda {

namespace {

template <class T>
void widen_moments(int64_t channels, const T* mean, const T* var, Moments to) {
  launch(widen_moments_kernel<T>, blocks_for(channels), kThreads, channels, mean, var, to);
}

template <class T>
void update_running(const RunningMoments<T>& to, int64_t outer, Moments m) {
  launch(update_running_kernel<T>, blocks_for(to.channels), kThreads, to, outer, m);
}

template <class T>
constexpr NormKernels<T> kernels = {
    widen_moments<T>,        update_running<T>, column_moments<T>,    column_norm<T>,
    column_norm_backward<T>, row_norm<T>,       row_norm_backward<T>,
};

}  // namespace

TINYDL_CUDA_TABLE(NormKernels, norm, kernels);

}  // namespace tinydl::cuda
