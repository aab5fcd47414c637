// What each binding file defines; module.cpp calls them.
#pragma once
#include <pybind11/pybind11.h>

namespace tinydl {

void bind_elementwise(pybind11::module_& m);
void bind_dlpack(pybind11::module_& m);
void bind_conv(pybind11::module_& m);
void bind_matmul(pybind11::module_& m);
void bind_pool(pybind11::module_& m);
void bind_norm(pybind11::module_& m);
void bind_reduce(pybind11::module_& m);
void bind_resample(pybind11::module_& m);
void bind_random(pybind11::module_& m);
void bind_optimizer(pybind11::module_& m);
void bind_limits(pybind11::module_& m);
void bind_loss(pybind11::module_& m);
void bind_pair_losses(pybind11::module_& m);  // called by bind_loss
void bind_softmax(pybind11::module_& m);
void bind_index(pybind11::module_& m);
void bind_embedding(pybind11::module_& m);
void bind_recurrent(pybind11::module_& m);
void bind_attention(pybind11::module_& m);

}  // namespace tinydl
