#include "contract/norm.h"

#include "cpu/norm/columns.h"
#include "cpu/norm/columns_backward.h"
#include "cpu/norm/rows.h"
#include "cpu/norm/running.h"

namespace tinydl::TINYDL_TIER {

namespace {

template <class T>
constexpr NormKernels<T> kernels = {
    widen_moments<T>,        update_running<T>, column_moments<T>,    column_norm<T>,
    column_norm_backward<T>, row_norm<T>,       row_norm_backward<T>,
};

}  // namespace

extern const ByType<NormKernels> norm_table = {kernels<float>, kernels<double>};

}  // namespace tinydl::TINYDL_TIER
