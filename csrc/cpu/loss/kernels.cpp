#include "contract/loss.h"
#include "cpu/loss/cross_entropy.h"
#include "cpu/loss/pairs.h"

namespace tinydl::TINYDL_TIER {

namespace {

template <class T>
constexpr LossKernels<T> kernels = {
    rest_mass<T>,
    label_mass<T>,
    ones<T>,
    loss_total<T>,
    loss_each<T>,
    cross_entropy<T>,
    soft_cross_entropy<T>,
    cross_entropy_backward<T>,
    soft_cross_entropy_backward<T>,
    nll<T>,
    nll_backward<T>,
    pair_loss<T, SquaredError>,
    pair_loss<T, AbsoluteError>,
    pair_loss<T, SmoothL1>,
    pair_loss<T, Huber>,
    pair_loss<T, BinaryCrossEntropy>,
    pair_loss<T, BinaryCrossEntropyWithLogits>,
    pair_loss<T, KlDiv>,
    pair_loss<T, KlDivOfLogs>,
    pair_loss<T, SoftMargin>,
    are_probabilities<T>,
};

}  // namespace

extern const ByType<LossKernels> loss_table = {kernels<float>, kernels<double>};

}  // namespace tinydl::TINYDL_TIER
